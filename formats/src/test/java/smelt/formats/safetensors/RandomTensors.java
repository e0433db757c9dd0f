package smelt.formats.safetensors;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import smelt.formats.ElementType;
import smelt.formats.Shape;

/// Makes tensors and metadata of every kind that a file may hold, the same for the same seed.
final class RandomTensors {

  private static final String[] PARTS = {
    "model", "layers", "weight", "é", "中", "😀", "\uffee", "a b", "\"", "\\", "/", "0", "scale_inv"
  };

  private static final List<ElementType> TYPES = List.of(ElementType.values());

  private final Random random;

  RandomTensors(long seed) {
    random = new Random(seed);
  }

  List<SafetensorsLayout.Tensor> tensors() {
    List<SafetensorsLayout.Tensor> tensors = new ArrayList<>();
    Set<String> names = new HashSet<>();
    int count = random.nextInt(40);
    while (tensors.size() < count) {
      String name = name();
      if (names.add(name)) {
        tensors.add(tensor(name, type()));
      }
    }
    return tensors;
  }

  Map<String, String> metadata() {
    Map<String, String> metadata = new TreeMap<>();
    for (int i = random.nextInt(4); i > 0; i--) {
      metadata.put(name(), name() + "\n\t\u0001");
    }
    return metadata;
  }

  private SafetensorsLayout.Tensor tensor(String name, ElementType type) {
    while (true) {
      long[] dims = new long[random.nextInt(5)];
      for (int axis = 0; axis < dims.length; axis++) {
        dims[axis] = random.nextInt(8) == 0 ? 0 : 1 + random.nextInt(9);
      }
      Shape shape = Shape.of(dims);
      if (shape.elements() * type.bits() % 8 == 0) {
        return new SafetensorsLayout.Tensor(name, type, shape);
      }
    }
  }

  private ElementType type() {
    return TYPES.get(random.nextInt(TYPES.size()));
  }

  private String name() {
    StringBuilder name = new StringBuilder(PARTS[random.nextInt(PARTS.length)]);
    for (int i = random.nextInt(4); i > 0; i--) {
      name.append('.').append(PARTS[random.nextInt(PARTS.length)]);
    }
    return name.toString();
  }
}
