package smelt.verify.quality;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import smelt.verify.stats.Limits;

/// After which sequences a verdict may be given, and at what level.
///
/// Looking again and again at limits of 95 % until all happen to hold would let bad results
/// through. So the looks share the 5 %: a result that is beyond a bound has to get past that
/// bound's gate at some look, which it does in the sum of all looks' shares at most, however the
/// looks depend on each other. As at a single look, all gates must hold, so none needs more.
///
/// @param ends sequences after which a look is made, growing; the last is all of them
/// @param risks share of the 5 % that each look may use up; together 0.05
public record Looks(List<Integer> ends, List<Double> risks) {

  /// Of the tokens and of the risk, what each look has.
  private static final double[] TOKENS = {0.25, 0.5, 1};

  private static final double[] RISKS = {0.005, 0.01, 0.035};

  public Looks {
    ends = List.copyOf(ends);
    risks = List.copyOf(risks);
    if (ends.isEmpty() || ends.size() != risks.size()) {
      throw new IllegalArgumentException(ends + " with risks " + risks);
    }
  }

  /// One look, at all the text.
  public static Looks atTheEnd(int sequences) {
    return new Looks(List.of(sequences), List.of(1 - Limits.CONFIDENCE));
  }

  /// Looks after a quarter, a half and all of the tokens, at 99.5, 99 and 96.5 %. Looks that meet,
  /// since sequences are few, are one, with the risk of both.
  ///
  /// @param lengths tokens of each sequence, at least one sequence
  public static Looks onTheWay(List<Integer> lengths) {
    long all = lengths.stream().mapToLong(Integer::longValue).reduce(0, Math::addExact);
    List<Integer> ends = new ArrayList<>();
    List<Double> risks = new ArrayList<>();
    long seen = 0;
    int next = 0;
    for (int end = 1; end <= lengths.size(); end++) {
      seen += lengths.get(end - 1);
      double risk = 0;
      while (next < TOKENS.length && seen >= TOKENS[next] * all) {
        risk += RISKS[next++];
      }
      if (risk > 0) {
        ends.add(end);
        risks.add(risk);
      }
    }
    return new Looks(ends, risks);
  }

  /// The look that is made after so many sequences, if one is.
  public Optional<Look> after(int sequences) {
    int at = ends.indexOf(sequences);
    return at < 0 ? Optional.empty() : Optional.of(look(at));
  }

  /// The look that comes next, when so many sequences have been seen, or is due.
  public Look coming(int sequences) {
    int at = 0;
    while (at < ends.size() - 1 && ends.get(at) < sequences) {
      at++;
    }
    return look(at);
  }

  private Look look(int at) {
    return new Look(at + 1, ends.size(), 1 - risks.get(at), Units.DOCUMENTS);
  }
}
