package smelt.calibrate.observe;

import java.util.Comparator;
import java.util.OptionalInt;
import smelt.formats.BadInputException;

/// The order of sites in files, and their names there.
final class Sites {

  /// By layer; first those of the whole layer, in the order in which tokens pass them, then those
  /// of its experts, expert after expert.
  static final Comparator<Site> ORDER =
      Comparator.comparingInt(Site::layer)
          .thenComparingInt(site -> expert(site).orElse(-1))
          .thenComparingInt(Sites::rank);

  private Sites() {}

  /// The routed expert whose site it is.
  static OptionalInt expert(Site site) {
    return switch (site) {
      case Site.ExpertInput(_, int expert) -> OptionalInt.of(expert);
      case Site.ExpertDown(_, int expert) -> OptionalInt.of(expert);
      case Site.AttentionInput _,
          Site.QueryLatent _,
          Site.KeyValueLatent _,
          Site.AttentionOutput _,
          Site.FeedForwardInput _,
          Site.DenseDown _,
          Site.SharedDown _,
          Site.HeadInput _ ->
          OptionalInt.empty();
    };
  }

  private static int rank(Site site) {
    return switch (site) {
      case Site.AttentionInput _ -> 0;
      case Site.QueryLatent _ -> 1;
      case Site.KeyValueLatent _ -> 2;
      case Site.AttentionOutput _ -> 3;
      case Site.FeedForwardInput _ -> 4;
      case Site.DenseDown _ -> 5;
      case Site.SharedDown _ -> 6;
      case Site.ExpertInput _ -> 7;
      case Site.ExpertDown _ -> 8;
      case Site.HeadInput _ -> 9;
    };
  }

  /// The site with a label, where files have it.
  static Site of(String file, int layer, OptionalInt expert, String label) {
    int number = expert.orElse(-1);
    return switch (label) {
      case "attention_input" -> new Site.AttentionInput(layer);
      case "query_latent" -> new Site.QueryLatent(layer);
      case "key_value_latent" -> new Site.KeyValueLatent(layer);
      case "attention_output" -> new Site.AttentionOutput(layer);
      case "feed_forward_input" -> new Site.FeedForwardInput(layer);
      case "dense_down" -> new Site.DenseDown(layer);
      case "shared_down" -> new Site.SharedDown(layer);
      case "expert_input" -> new Site.ExpertInput(layer, number);
      case "expert_down" -> new Site.ExpertDown(layer, number);
      case "head_input" -> new Site.HeadInput(layer);
      default ->
          throw new BadInputException(
              file,
              "a site " + label,
              "a site of this version's tables",
              "make the table again with this version of the program");
    };
  }

  /// The name of its Hessian in a file of its layer, such as `expert_down.3`.
  static String tensor(Site site) {
    return expert(site).isPresent() ? site.label() + "." + expert(site).getAsInt() : site.label();
  }

  /// The name of the Hessian of its tokens held out.
  static String heldOut(Site site) {
    return tensor(site) + ".held_out";
  }
}
