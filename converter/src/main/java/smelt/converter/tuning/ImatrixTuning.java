package smelt.converter.tuning;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import smelt.converter.gguf.GgufMapping;
import smelt.converter.plan.Job;
import smelt.converter.plan.Plan;
import smelt.converter.plan.TargetPlan;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.imatrix.Imatrix;
import smelt.formats.imatrix.ImatrixEntry;

/// The tuning of a plan by an importance matrix of llama.cpp: how much columns count in the blocks
/// of GGUF targets, as its own quantizer takes it. A tensor that the file has nothing of is encoded
/// as if all its columns counted alike, and so is an expert of which it has a count of 0.
public final class ImatrixTuning implements Tuning {

  /// What an entry takes on the heap beside its numbers.
  private static final long BYTES_OF_FILE = 16L << 20;

  private final Imatrix imatrix;
  private final List<Map<Where, Matrix>> matrices = new ArrayList<>();

  /// A slab of a weight.
  private record Where(String weight, String tensor, long firstRow) {}

  /// One of the matrices of an entry.
  private record Matrix(int number, int cols) {}

  /// @param file the matrix's, for messages
  /// @throws BadInputException if an entry has other sizes than the model, or there is none for any
  ///   tensor that a target chooses by importance
  public ImatrixTuning(Plan plan, Checkpoint checkpoint, Imatrix imatrix, String file) {
    this.imatrix = imatrix;
    for (TargetPlan target : plan.targets()) {
      Map<Where, Matrix> found = new HashMap<>();
      if (target.spec().calibrated().importance()) {
        GgufMapping.of(checkpoint, target.spec().gguf())
            .places()
            .values()
            .forEach(places -> places.forEach(place -> add(place, file, found)));
        if (found.isEmpty()) {
          throw new BadInputException(
              file,
              imatrix.entries().size() + " entries, none of a tensor of " + checkpoint.location(),
              "an importance matrix of this model",
              "make one with smelt calibrate --imatrix, or with llama-imatrix from this model");
        }
      }
      matrices.add(Map.copyOf(found));
    }
  }

  /// Bytes of memory at most.
  ///
  /// @param fileBytes size of the matrix's file
  public static long bytes(long fileBytes) {
    return Math.addExact(BYTES_OF_FILE, Math.multiplyExact(2, fileBytes));
  }

  private void add(GgufMapping.Place place, String file, Map<Where, Matrix> found) {
    GgufMapping.Tensor tensor = place.tensor();
    ImatrixEntry entry = imatrix.entries().get(tensor.name());
    if (entry == null) {
      return;
    }
    int cols = Math.toIntExact(tensor.dims().getFirst());
    long rows = tensor.dims().size() < 2 ? 1 : tensor.dims().get(1);
    int count = tensor.dims().size() < 3 ? 1 : Math.toIntExact(tensor.dims().get(2));
    if (entry.size() != (long) cols * count
        || (entry.countSize() != 1 && entry.countSize() != count)) {
      throw new BadInputException(
          file + ", entry " + tensor.name(),
          entry.size() + " sums with " + entry.countSize() + " counts",
          count + " x " + cols + " sums: the model's matrices and their columns",
          "take the importance matrix of this model");
    }
    int number = Math.toIntExact(place.tensorRow() / rows);
    found.put(
        new Where(place.slab().weight().name(), tensor.name(), place.slab().firstRow()),
        new Matrix(number, cols));
  }

  @Override
  public Optional<float[]> importance(int target, Weight weight, Job.Piece piece) {
    Where where = new Where(weight.name(), piece.tensor(), piece.firstRow());
    return Optional.ofNullable(matrices.get(target).get(where))
        .flatMap(matrix -> imatrix.importance(piece.tensor(), matrix.number(), matrix.cols()));
  }

  @Override
  public void close() {}
}
