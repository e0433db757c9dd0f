package smelt.verify.quality;

/// Figures over all scored tokens. Formulas are those of [TokenScores]; `delta p` is `q(target) -
/// p(target)`.
///
/// @param kl each path routing by itself
/// @param forcedKl with the source's experts forced: what is left when routing flips are taken away
/// @param sourcePpl `exp(mean -log p(target))`
/// @param resultPpl `exp(mean -log q(target))`
/// @param logPplRatio `mean (log p(target) - log q(target))` with its paired standard error
/// @param deltaP distribution of delta p
/// @param deltaPRms root of the mean of its square
/// @param eosShift mean of `log q(EOS) - log p(EOS)`
/// @param designEffect variance of the mean KL over sequences, by that over independent tokens
public record Summary(
    long tokens,
    Distribution kl,
    Distribution forcedKl,
    double sourcePpl,
    double resultPpl,
    Distribution logPplRatio,
    Distribution deltaP,
    double deltaPRms,
    double sameTop,
    double sameTopForced,
    double eosShift,
    double designEffect) {}
