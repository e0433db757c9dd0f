package smelt.calibrate.observe;

/// Of which sites Hessians are kept.
public enum HessianChoice {
  /// Of none.
  NONE,
  /// Of all sites but those of single experts.
  POOL,
  /// Of all sites but the head's.
  ALL;

  /// The head's input is left out: the head is no weight that is quantized with one.
  boolean keeps(Site site) {
    return switch (this) {
      case NONE -> false;
      case POOL -> !(site instanceof Site.HeadInput) && Sites.expert(site).isEmpty();
      case ALL -> !(site instanceof Site.HeadInput);
    };
  }

  /// Whether second moments of the tokens held out are kept too. What all experts of a layer read
  /// is judged on the layer's.
  boolean keepsHeldOut(Site site) {
    return keeps(site) && !(site instanceof Site.ExpertInput);
  }
}
