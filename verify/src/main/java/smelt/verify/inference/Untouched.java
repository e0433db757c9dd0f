package smelt.verify.inference;

import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import smelt.verify.quality.ExpertUse;

/// Routed experts that no token reached: of them a verdict knows the weights alone.
final class Untouched {

  private static final int NAMED = 10;

  private Untouched() {}

  static Optional<String> note(List<ExpertUse> experts) {
    List<ExpertUse> none = experts.stream().filter(use -> use.tokens() == 0).toList();
    if (none.isEmpty()) {
      return Optional.empty();
    }
    String named =
        none.stream()
            .limit(NAMED)
            .map(use -> "layer " + use.layer() + " expert " + use.expert())
            .collect(Collectors.joining(", "));
    return Optional.of(
        "No token reached "
            + none.size()
            + " of "
            + experts.size()
            + " routed experts, so only their weights were compared: "
            + named
            + (none.size() > NAMED ? ", and " + (none.size() - NAMED) + " more." : "."));
  }
}
