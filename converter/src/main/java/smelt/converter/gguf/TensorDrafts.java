package smelt.converter.gguf;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.TreeSet;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.Weight;
import smelt.formats.gguf.GgmlType;

/// Collects the tensors of a model while its weights are handed over in canonical order. Layer
/// [#OUTSIDE] is what stands outside the layers.
final class TensorDrafts {

  static final int OUTSIDE = -1;

  /// A tensor that grows while weights are handed over.
  private record Draft(
      int layer, String name, GgmlType wanted, List<Long> dims, List<Slab> slabs) {}

  private final GgufTypes types;
  private final int experts;
  private final TreeSet<GgufMapping.Tensor> tensors =
      new TreeSet<>(
          Comparator.comparingInt((GgufMapping.Tensor t) -> t.layer().orElse(OUTSIDE))
              .thenComparing(GgufMapping.Tensor::name));
  private final Map<String, Draft> stacks = new LinkedHashMap<>();
  private final List<GgufMapping.Dropped> dropped = new ArrayList<>();
  private final List<String> notes = new ArrayList<>();

  /// @param experts routed experts of a layer; 0 for a dense model
  TensorDrafts(GgufTypes types, int experts) {
    this.types = types;
    this.experts = experts;
  }

  GgufMapping mapping() {
    stacks
        .values()
        .forEach(
            stack -> put(stack.layer(), stack.name(), stack.wanted(), stack.dims(), stack.slabs()));
    stacks.clear();
    noteInterleaved();
    return new GgufMapping(List.copyOf(tensors), dropped, notes);
  }

  void drop(Weight weight, String reason) {
    dropped.add(new GgufMapping.Dropped(weight.name(), reason));
  }

  /// A weight whose type is chosen.
  void linear(int layer, String name, Weight weight) {
    slabs(layer, name, weight, weight.shape().dims().reversed(), List.of(Slab.whole(weight)));
  }

  /// Parts of one weight whose type is chosen.
  void slabs(int layer, String name, Weight weight, List<Long> dims, List<Slab> slabs) {
    GgmlType wanted = types.wanted(weight.role(), weight.name());
    if (wanted.interleavedRows() > 1) {
      throw new UnsupportedException(
          weight.name() + " in " + wanted,
          "rows are interleaved for routed experts only, which the CPU computes with");
    }
    put(layer, name, wanted, dims, slabs);
  }

  /// A weight that is F32 in every file.
  void exact(int layer, String name, Weight weight) {
    List<Long> dims = weight.shape().dims().reversed();
    put(layer, name, GgmlType.F32, dims, List.of(Slab.whole(weight)));
  }

  void numbers(String name, List<Float> values) {
    tensors.add(
        new GgufMapping.Tensor(
            OptionalInt.empty(),
            name,
            GgmlType.F32,
            List.of((long) values.size()),
            new GgufMapping.Content.Numbers(values)));
  }

  /// One expert of a stack; experts come in their order.
  void expert(int layer, Projection projection, Weight weight) {
    String name = "ffn_" + lower(projection) + "_exps.weight";
    GgmlType wanted = types.wanted(weight.role(), weight.name());
    List<Long> dims = new ArrayList<>(weight.shape().dims().reversed());
    dims.add((long) experts);
    Draft stack =
        stacks.computeIfAbsent(
            layer + name, _ -> new Draft(layer, name, wanted, dims, new ArrayList<>()));
    if (stack.wanted() != wanted) {
      throw new UnsupportedException(
          weight.name() + " in " + wanted + " and experts before it in " + stack.wanted(),
          "the experts of a layer are one tensor, of one type");
    }
    long rows = Slab.rows(weight);
    if (rows % wanted.interleavedRows() != 0) {
      throw new UnsupportedException(
          weight.name() + " with " + rows + " rows in " + wanted,
          "rows are interleaved "
              + wanted.interleavedRows()
              + " at a time: take "
              + wanted.plain());
    }
    stack.slabs().add(Slab.whole(weight));
  }

  static String lower(Enum<?> part) {
    return part.name().toLowerCase(java.util.Locale.ROOT);
  }

  /// Once for each type with interleaved rows.
  private void noteInterleaved() {
    Map<GgmlType, Long> counts = new TreeMap<>();
    for (GgufMapping.Tensor tensor : tensors) {
      if (tensor.type().interleavedRows() > 1) {
        counts.merge(tensor.type(), 1L, Long::sum);
      }
    }
    counts.forEach((type, count) ->
        notes.add(
            count
                + " tensors of routed experts are written as "
                + type
                + ": blocks of "
                + type.interleavedRows()
                + " rows lie interleaved, which only ik_llama.cpp reads, and only on CPUs"));
  }

  private void put(int layer, String name, GgmlType wanted, List<Long> dims, List<Slab> slabs) {
    String full = layer == OUTSIDE ? name : "blk." + layer + "." + name;
    GgmlType type = GgufTypes.fitting(wanted, dims.getFirst());
    if (type != wanted) {
      notes.add(
          full
              + " is written as "
              + type
              + ": rows of "
              + dims.getFirst()
              + " do not fill blocks of "
              + wanted
              + ", which have "
              + wanted.blockElements());
    }
    OptionalInt where = layer == OUTSIDE ? OptionalInt.empty() : OptionalInt.of(layer);
    tensors.add(
        new GgufMapping.Tensor(where, full, type, dims, new GgufMapping.Content.Weights(slabs)));
  }
}
