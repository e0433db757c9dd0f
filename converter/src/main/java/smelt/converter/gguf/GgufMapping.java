package smelt.converter.gguf;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufLayout;

/// Which tensors a model has in llama.cpp's words, and which rows of which weight go where: by
/// tensor for who writes a file front to back, by weight for who reads a source front to back.
/// Nothing of it depends on how tensors are dealt to files.
///
/// @param tensors in the order of llama.cpp's own quantizer: by layer, what belongs to none first,
///   then by name
/// @param dropped weights that have no place
/// @param notes tensors in another type than asked for, as sentences
public record GgufMapping(List<Tensor> tensors, List<Dropped> dropped, List<String> notes) {

  /// A weight that has no place.
  public record Dropped(String weight, String reason) {}

  /// A tensor and what it is made of, in the order of its data.
  ///
  /// @param layer empty for what stands outside the layers
  /// @param dims the contiguous dimension first
  public record Tensor(
      OptionalInt layer, String name, GgmlType type, List<Long> dims, Content content) {
    public Tensor {
      dims = List.copyOf(dims);
    }

    GgufLayout.Tensor layoutTensor() {
      return new GgufLayout.Tensor(name, type, dims);
    }
  }

  /// Where the numbers of a tensor come from.
  public sealed interface Content {

    /// Rows of weights.
    record Weights(List<Slab> slabs) implements Content {
      public Weights {
        slabs = List.copyOf(slabs);
      }
    }

    /// Numbers that follow from the config, in F32.
    record Numbers(List<Float> values) implements Content {
      public Numbers {
        values = List.copyOf(values);
      }
    }
  }

  /// Where a slab of a weight goes.
  ///
  /// @param tensorRow the row of the tensor, all dimensions but the first taken together, at which
  ///   the slab begins
  public record Place(Tensor tensor, Slab slab, long tensorRow) {}

  public GgufMapping {
    tensors = List.copyOf(tensors);
    dropped = List.copyOf(dropped);
    notes = List.copyOf(notes);
  }

  /// Maps a checkpoint.
  ///
  /// @throws UnsupportedException for an architecture or a weight that llama.cpp has no place for
  public static GgufMapping of(Checkpoint checkpoint, GgufOptions options) {
    return switch (checkpoint.architecture()) {
      case DEEPSEEK_V2, DEEPSEEK_V3 -> DeepSeekTensors.of(checkpoint, options);
      case LLAMA, QWEN2, QWEN3_MOE, MIXTRAL -> {
        if (options.latent() == LatentForm.FUSED) {
          throw new UnsupportedException(
              checkpoint.location() + ": kv_b fused, of " + checkpoint.architecture().className(),
              "DeepSeek-V2 and V3 have a kv_b_proj; remove kv_b from the recipe");
        }
        yield GroupedTensors.of(checkpoint, options.types());
      }
      case DEEPSEEK_V32 ->
          throw new UnsupportedException(
              checkpoint.location() + ": GGUF of " + checkpoint.architecture().className(),
              "llama.cpp's deepseek2 does not run an indexer, and leaving it out would be another"
                  + " model");
    };
  }

  /// For each weight that has a place, where its slabs go, in the order of the tensors.
  public Map<Weight, List<Place>> places() {
    Map<Weight, List<Place>> places = new HashMap<>();
    for (Tensor tensor : tensors) {
      if (tensor.content() instanceof Content.Weights(List<Slab> slabs)) {
        long row = 0;
        for (Slab slab : slabs) {
          places
              .computeIfAbsent(slab.weight(), _ -> new ArrayList<>())
              .add(new Place(tensor, slab, row));
          row = Math.addExact(row, slab.tensorRows());
        }
      }
    }
    return places;
  }
}
