package smelt.converter.plan;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import smelt.converter.Version;
import smelt.formats.files.Sha256;

/// The plan as a JSON file that a person can read and diff, format `smelt-plan/1`: one unit, file
/// or tensor on a line. It holds nothing that depends on the machine, so its SHA-256 names the job.
public final class PlanJson {

  public static final String FORMAT = "smelt-plan/1";

  private record UnitLine(int unit, String holds, long sourceBytes, int weights) {}

  private record FileLine(
      String target, String name, String kind, long bytes, Optional<String> sha256) {}

  private PlanJson() {}

  /// The plan alone.
  public static void write(Plan plan, OutputStream out) throws IOException {
    write(plan, Optional.empty(), out);
  }

  /// The plan, and behind it what it costs on some machine, which is no part of the job.
  public static void write(Plan plan, Optional<Estimate> estimate, OutputStream out)
      throws IOException {
    try (LineJson json = new LineJson(out)) {
      json.entry("format", FORMAT);
      json.entry("smelt", Version.text());
      json.entry("recipe", plan.recipe().meaning());
      json.entry("source", plan.source().json());
      if (plan.calibration().isPresent()) {
        json.entry("calibration", plan.calibration().get());
      }
      json.entry("source_bytes_read", plan.sourceBytes());
      json.entry("output_bytes", plan.outputBytes());
      json.lines(
          "units",
          plan.units().stream()
              .map(u -> new UnitLine(u.number(), u.holds(), u.sourceBytes(), u.jobs().size()))
              .toList());
      json.lines("files", files(plan));
      for (TargetPlan target : plan.targets()) {
        json.lines(
            "tensors of " + target.spec().name(),
            Manifest.tensors(plan, target, Optional.empty()),
            (generator, line) -> line.write(generator));
      }
      json.lines("dropped", plan.dropped());
      json.lines("left_out", plan.leftOut());
      for (TargetPlan target : plan.targets()) {
        if (!target.dropped().isEmpty() || !target.leftOut().isEmpty()) {
          json.lines("dropped by " + target.spec().name(), target.dropped());
          json.lines("left_out by " + target.spec().name(), target.leftOut());
        }
        if (!target.notes().isEmpty()) {
          json.lines("notes of " + target.spec().name(), target.notes());
        }
      }
      estimate.ifPresent(cost -> json.entry("estimate", cost.json()));
    }
  }

  /// SHA-256 of the JSON form, in hex.
  public static String digest(Plan plan) {
    MessageDigest sha256 = Sha256.start();
    try (OutputStream out = new DigestOutputStream(OutputStream.nullOutputStream(), sha256)) {
      write(plan, out);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return Sha256.hex(sha256);
  }

  private static List<FileLine> files(Plan plan) {
    List<FileLine> lines = new ArrayList<>();
    for (TargetPlan target : plan.targets()) {
      String label = target.spec().name();
      String prefix = target.folder().isEmpty() ? "" : target.folder() + "/";
      for (TargetPlan.Shard shard : target.shards()) {
        for (ShardLayout.UnitFile file : shard.files()) {
          lines.add(
              new FileLine(label, prefix + file.name(), "shard", file.bytes(), Optional.empty()));
        }
      }
      for (TargetPlan.SmallFile file : target.smallFiles()) {
        lines.add(
            new FileLine(
                label,
                prefix + file.name(),
                file.from().isEmpty() ? "made" : "carried",
                file.bytes().length,
                Optional.of(Sha256.hex(file.bytes()))));
      }
      target
          .listing()
          .ifPresent(file ->
              lines.add(
                  new FileLine(
                      label, prefix + file.name(), "listing", file.bytes(), Optional.empty())));
      lines.add(
          new FileLine(
              label,
              prefix + TargetPlan.MANIFEST,
              "manifest",
              target.manifestBytes(),
              Optional.empty()));
    }
    return lines;
  }
}
