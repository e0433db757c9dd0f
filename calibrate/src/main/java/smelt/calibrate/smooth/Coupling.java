package smelt.calibrate.smooth;

import java.util.List;
import java.util.stream.Stream;
import smelt.formats.checkpoint.Weight;

/// All weights that a factor for each channel of a pair goes into.
///
/// @param channels number of factors
/// @param producers what is divided by them
/// @param consumers whatever reads the channels: each has its columns multiplied
/// @param columns the channel of each column of every consumer
public record Coupling(
    Pair pair, int channels, List<Producer> producers, List<Weight> consumers, ChannelMap columns) {

  /// A weight of which rows are divided, or a vector of which numbers are.
  public record Producer(Weight weight, ChannelMap map) {}

  public Coupling {
    producers = List.copyOf(producers);
    consumers = List.copyOf(consumers);
    for (Producer producer : producers) {
      check(pair, channels, producer.map().channels(firstDim(producer.weight())));
    }
    for (Weight consumer : consumers) {
      check(pair, channels, columns.channels(Math.toIntExact(consumer.shape().dim(1))));
    }
  }

  private static void check(Pair pair, int channels, int found) {
    if (found != channels) {
      throw new IllegalArgumentException(pair + ": " + found + " of " + channels + " channels");
    }
  }

  private static int firstDim(Weight weight) {
    return Math.toIntExact(weight.shape().dim(0));
  }

  /// Every weight that has factors. What holds only some of them cannot be smoothed by this pair: a
  /// result with nothing but routed experts can have `up-down` of these, and no norm.
  public List<Weight> weights() {
    return Stream.concat(producers.stream().map(Producer::weight), consumers.stream()).toList();
  }

  /// Numbers of a row of each consumer.
  public int inputs() {
    return Math.toIntExact(consumers.getFirst().shape().dim(1));
  }
}
