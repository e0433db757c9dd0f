package smelt.converter.run;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import smelt.converter.plan.Job;
import smelt.converter.plan.Plan;
import smelt.converter.plan.Unit;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.experts.ExpertPacker;
import smelt.formats.experts.ExpertPacker.Region;
import smelt.formats.experts.RowScales;
import smelt.formats.source.ModelSource;
import smelt.formats.source.SourceFiles;

/// Slices of a row that were quantized apart have scales of their own, and one slice made of them
/// can have only one. This reads the scales, and nothing else, before the work begins.
public final class KeptScales {

  private KeptScales() {}

  /// @throws BadInputException naming the first row of an expert whose slices cannot be joined
  public static void require(ModelSource source, Plan plan) throws IOException {
    try (SourceFiles files = new SourceFiles(source)) {
      for (Unit unit : plan.units()) {
        for (Job job : unit.jobs()) {
          for (Job.Output output : job.outputs()) {
            if (output instanceof Job.Output.Experts experts
                && experts.rule() == ExpertPacker.Rule.KEEP) {
              require(files, job.weight(), experts);
            }
          }
        }
      }
    }
  }

  private static void require(SourceFiles files, Weight weight, Job.Output.Experts output)
      throws IOException {
    RowScales rows = RowScales.of(weight.encoding(), weight.shape().dim(1)).orElseThrow();
    if (output.slices().stream().noneMatch(slice -> rows.mayClash(slice.region()))) {
      return;
    }
    SourceTensor stored = weight.scale().orElseThrow();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment scales = arena.allocate(stored.bytes());
      files.file(stored.file()).read(stored.offset(), scales);
      for (Job.Slice slice : output.slices()) {
        require(weight, rows, scales, slice.region());
      }
    }
  }

  static void require(Weight weight, RowScales rows, MemorySegment scales, Region region) {
    Optional<RowScales.Clash> found = rows.clash(scales, region);
    if (found.isPresent()) {
      RowScales.Clash clash = found.get();
      throw new BadInputException(
          place(weight, clash.row()),
          "scale "
              + clash.first()
              + ", and "
              + clash.second()
              + " from column "
              + clash.firstCol()
              + " on",
          "one scale for all codes of a slice",
          "the slices were quantized apart and would be quantized again: keep the number of nodes"
              + " or take a multiple of it, or convert from the original checkpoint");
    }
  }

  static void requireFinite(Weight weight, long row, float scale) {
    if (!(scale >= 0 && scale < Float.POSITIVE_INFINITY)) {
      throw new BadInputException(
          place(weight, row),
          "scale " + scale,
          "a finite scale that is not negative",
          "the source is corrupt here: fetch the file again and compare its checksum");
    }
  }

  private static String place(Weight weight, long row) {
    String expert =
        weight.role() instanceof TensorRole.RoutedExpert role
            ? ", layer " + role.layerIndex() + ", expert " + role.expert()
            : "";
    return weight.name() + expert + ", row " + row;
  }
}
