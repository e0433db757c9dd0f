package smelt.converter.deploy;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import smelt.formats.checkpoint.TensorRole;

/// What lies where once a model is served: bytes of tensors, as they are in the files. A runtime's
/// buffers and activations come on top.
///
/// @param lines every tensor of the files once, in the place where it is used
/// @param copies what lies in a second place too
public record Ledger(List<Line> lines, List<Line> copies) {

  static final String MTP = "multi-token prediction";

  /// Where bytes lie.
  public sealed interface Place {

    record Gpu() implements Place {}

    /// @param number from 0
    record Node(int number) implements Place {}

    /// Memory of the machine, wherever.
    record Dram() implements Place {}

    /// In a file that is not loaded.
    record Disk() implements Place {}

    /// Its name, such as `NUMA node 0`.
    default String label() {
      return switch (this) {
        case Gpu _ -> "GPU";
        case Node(int number) -> "NUMA node " + number;
        case Dram _ -> "DRAM";
        case Disk _ -> "not loaded";
      };
    }
  }

  public record Line(Place place, String what, long bytes) {}

  public Ledger {
    lines = List.copyOf(lines);
    copies = List.copyOf(copies);
  }

  /// Bytes of the tensors of all files.
  public long total() {
    return lines.stream().mapToLong(Line::bytes).reduce(0, Math::addExact);
  }

  /// Bytes in each place, by its name, copies among them.
  public SortedMap<String, Long> places() {
    SortedMap<String, Long> places = new TreeMap<>();
    Stream.concat(lines.stream(), copies.stream())
        .forEach(line -> places.merge(line.place().label(), line.bytes(), Math::addExact));
    return places;
  }

  /// Lines in the order in which they first came, each place and words once.
  static List<Line> merged(List<Line> lines) {
    SequencedMap<List<Object>, Long> sums = new LinkedHashMap<>();
    lines.forEach(
        line -> sums.merge(List.of(line.place(), line.what()), line.bytes(), Math::addExact));
    List<Line> merged = new ArrayList<>();
    sums.forEach((key, bytes) ->
        merged.add(new Line((Place) key.getFirst(), (String) key.getLast(), bytes)));
    return merged;
  }

  /// What a tensor is, in the words of the ledger.
  ///
  /// @param layers of the model, without those of multi-token prediction
  static String what(TensorRole role, int layers) {
    if (role.layer().isPresent() && role.layer().getAsInt() >= layers) {
      return MTP;
    }
    return switch (role) {
      case TensorRole.Embedding _, TensorRole.Head _, TensorRole.FinalNorm _ ->
          "embedding and head";
      case TensorRole.Attention _, TensorRole.AttentionBias _, TensorRole.Indexer _ -> "attention";
      case TensorRole.DenseMlp _ -> "dense feed-forward layers";
      case TensorRole.SharedExpert _ -> "shared experts";
      case TensorRole.RoutedExpert _ -> "routed experts";
      case TensorRole.Norm _, TensorRole.Router _, TensorRole.RouterBias _ -> "norms and routers";
      case TensorRole.Mtp _ -> MTP;
      case TensorRole.Foreign _ -> "other tensors";
    };
  }
}
