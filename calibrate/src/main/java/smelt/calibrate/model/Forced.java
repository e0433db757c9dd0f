package smelt.calibrate.model;

/// Experts that are prescribed: token `firstToken + i` of the batch uses the experts that `routing`
/// has for its token `i`. The weights come from the token's own scores for these experts.
public record Forced(long firstToken, Routing routing) {
  public Forced {
    if (firstToken < 0) {
      throw new IllegalArgumentException("first token " + firstToken);
    }
  }

  boolean covers(long token) {
    return token >= firstToken && token - firstToken < routing.tokens();
  }
}
