package smelt.verify.quality;

import java.util.Optional;
import java.util.OptionalInt;
import smelt.formats.checkpoint.Projection;

/// One written weight, decoded, against the source's decoded weight. With `a` a value of the source
/// and `b` that of the result:
///
/// | figure | formula |
/// |---|---|
/// | `sqnrDb` | `10 log10(sum a^2 / sum (a - b)^2)`; infinite where nothing differs |
/// | `maxAbsError` | `max abs(a - b)` |
/// | `relativeError` | `sqrt(sum (a - b)^2 / sum a^2)`, relative Frobenius error |
/// | `cosine` | `sum a b / sqrt(sum a^2 sum b^2)`; 1 where both are all zero |
///
/// @param tensor the name of the result's codes
/// @param role as in [smelt.formats.checkpoint.TensorRole#label]
/// @param expert the routed expert's number
/// @param projection for feed-forward parts
/// @param from encoding in the source, such as `F8_E4M3 block 128x128`
/// @param to encoding in the result
/// @param bitExact whether every decoded value has the source's bits
/// @param nonFinite values of the result that are NaN or infinite; they are in no other figure
/// @param clippedShare share of the codes at either end of the result's range; 0 for plain numbers
/// @param scaleMin smallest decode scale; empty where the result has none
/// @param scaleMax largest decode scale
public record TensorScore(
    String tensor,
    String role,
    OptionalInt layer,
    OptionalInt expert,
    Optional<Projection> projection,
    String from,
    String to,
    long elements,
    boolean bitExact,
    double sqnrDb,
    double maxAbsError,
    double relativeError,
    double cosine,
    long nonFinite,
    double clippedShare,
    Optional<Double> scaleMin,
    Optional<Double> scaleMax) {}
