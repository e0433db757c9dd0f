package smelt.converter.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.TreeSet;

/// Groups jobs into units of whole layers, in the order of the jobs.
final class Units {

  private Units() {}

  /// Consecutive layers share a unit while the source bytes of all of them fit in `shardSize`; a
  /// layer that is larger is a unit of its own. What stands outside the layers counts as a layer.
  static List<Unit> group(List<Job> jobs, long shardSize) {
    List<Unit> units = new ArrayList<>();
    List<Job> open = new ArrayList<>();
    long openBytes = 0;
    for (List<Job> layer : layers(jobs)) {
      long bytes = bytes(layer);
      if (!open.isEmpty() && openBytes > shardSize - bytes) {
        units.add(unit(units.size() + 1, open, openBytes));
        open = new ArrayList<>();
        openBytes = 0;
      }
      open.addAll(layer);
      openBytes = Math.addExact(openBytes, bytes);
    }
    if (!open.isEmpty()) {
      units.add(unit(units.size() + 1, open, openBytes));
    }
    return units;
  }

  private static List<List<Job>> layers(List<Job> jobs) {
    List<List<Job>> layers = new ArrayList<>();
    OptionalInt previous = OptionalInt.of(-1);
    for (Job job : jobs) {
      OptionalInt layer = job.weight().role().layer();
      if (!layer.equals(previous)) {
        layers.add(new ArrayList<>());
        previous = layer;
      }
      layers.getLast().add(job);
    }
    return layers;
  }

  private static long bytes(List<Job> jobs) {
    return jobs.stream().mapToLong(job -> job.weight().bytes()).reduce(0, Math::addExact);
  }

  private static Unit unit(int number, List<Job> jobs, long bytes) {
    return new Unit(number, holds(jobs), jobs, bytes);
  }

  private static String holds(List<Job> jobs) {
    TreeSet<Integer> layers = new TreeSet<>();
    TreeSet<String> others = new TreeSet<>();
    for (Job job : jobs) {
      OptionalInt layer = job.weight().role().layer();
      if (layer.isPresent()) {
        layers.add(layer.getAsInt());
      } else {
        others.add(job.weight().role().label());
      }
    }
    List<String> parts = new ArrayList<>();
    if (!layers.isEmpty()) {
      parts.add(
          layers.size() == 1
              ? "layer " + layers.getFirst()
              : "layers " + layers.getFirst() + "-" + layers.getLast());
    }
    parts.addAll(others);
    return String.join(", ", parts);
  }
}
