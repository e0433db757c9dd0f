package smelt.verify.quality;

import java.util.List;

/// Whether a result is good enough, and by what.
///
/// @param profile the bounds that were held, such as `w8a8`
/// @param look which look at the text it is from, and the level of its limits
/// @param gates every bound, passed or not
/// @param worstTensors names of the tensors with the lowest SQNR, the worst first
/// @param worstLayers numbers of the layers with the lowest local SQNR, the worst first
public record Verdict(
    String profile,
    Look look,
    List<Gate> gates,
    List<String> worstTensors,
    List<Integer> worstLayers) {

  public Verdict {
    gates = List.copyOf(gates);
    worstTensors = List.copyOf(worstTensors);
    worstLayers = List.copyOf(worstLayers);
  }

  /// From the only look, at all the text.
  public Verdict(
      String profile, List<Gate> gates, List<String> worstTensors, List<Integer> worstLayers) {
    this(profile, Look.ONLY, gates, worstTensors, worstLayers);
  }

  /// The same verdict with one bound that is certain not to hold, whatever its limit.
  public Verdict failing(Metric metric, String why) {
    List<Gate> changed =
        gates.stream()
            .map(gate ->
                gate.metric() == metric && gate.outcome() != Gate.Outcome.FAIL
                    ? new Gate(
                        metric, gate.bound(), gate.value(), gate.limit(), Gate.Outcome.FAIL, why)
                    : gate)
            .toList();
    return new Verdict(profile, look, changed, worstTensors, worstLayers);
  }

  /// Whether there are bounds and every one holds.
  public boolean passed() {
    return !gates.isEmpty() && gates.stream().allMatch(gate -> gate.outcome() == Gate.Outcome.PASS);
  }
}
