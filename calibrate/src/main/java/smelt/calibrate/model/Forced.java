package smelt.calibrate.model;

/// Experts that are prescribed: token `firstToken + i` of the batch uses the experts that `routing`
/// has for its token `i`, and so do the tokens behind these, as often as `times` says. The weights
/// come from the token's own scores for these experts.
public record Forced(long firstToken, int times, Routing routing) {
  public Forced {
    if (firstToken < 0 || times < 1) {
      throw new IllegalArgumentException("first token " + firstToken + ", times " + times);
    }
  }

  /// Prescribed once.
  public Forced(long firstToken, Routing routing) {
    this(firstToken, 1, routing);
  }

  boolean covers(long token) {
    return token >= firstToken && (token - firstToken) / times < routing.tokens();
  }

  int expert(long token, int rank) {
    return routing.expert((token - firstToken) % routing.tokens(), rank);
  }
}
