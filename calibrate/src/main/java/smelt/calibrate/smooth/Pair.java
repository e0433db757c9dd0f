package smelt.calibrate.smooth;

import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import smelt.calibrate.observe.Site;

/// Two neighbours in a model that a factor for each channel can pass between: what produces the
/// channel is divided by it, whatever reads the channel is multiplied by it, and the model computes
/// what it computed before.
///
/// | kind | produced by | read by |
/// |---|---|---|
/// | `input-norm` | `input_layernorm` | `q_a`, `kv_a`, or `q`, `k`, `v`; indexer `wk`, `weights_proj` |
/// | `query-norm` | `q_a_layernorm` | `q_b`; indexer `wq_b` |
/// | `latent-norm` | `kv_a_layernorm`, which norms the latent numbers alone | `kv_b` |
/// | `value-output` | value rows of `kv_b`, or rows of `v` and its bias | `o` |
/// | `up-down` | rows of `up` | `down`, of a dense layer, a shared or a routed expert |
/// | `feed-forward-norm` | `post_attention_layernorm` | router, every `gate` and `up` of the layer |
public sealed interface Pair {

  /// What kind of neighbours they are.
  enum Kind {
    INPUT_NORM("input-norm"),
    QUERY_NORM("query-norm"),
    LATENT_NORM("latent-norm"),
    VALUE_OUTPUT("value-output"),
    UP_DOWN("up-down"),
    /// One factor for all experts of a layer, which are read together to choose it.
    FEED_FORWARD_NORM("feed-forward-norm");

    private final String label;

    Kind(String label) {
      this.label = label;
    }

    /// The name in recipes and reports.
    public String label() {
      return label;
    }

    public static Optional<Kind> of(String label) {
      return Arrays.stream(values()).filter(kind -> kind.label.equals(label)).findFirst();
    }

    /// Those that are smoothed when nothing else is said: all of them, as far as they lie whole in
    /// a target.
    public static Set<Kind> usual() {
      return Collections.unmodifiableSet(EnumSet.allOf(Kind.class));
    }
  }

  int layer();

  Kind kind();

  /// Where the numbers that pass between them are measured.
  Site site();

  /// The pair in words, such as `up-down of layer 3, expert 17`.
  default String title() {
    return kind().label() + " of layer " + layer();
  }

  record InputNorm(int layer) implements Pair {
    @Override
    public Kind kind() {
      return Kind.INPUT_NORM;
    }

    @Override
    public Site site() {
      return new Site.AttentionInput(layer);
    }
  }

  record QueryNorm(int layer) implements Pair {
    @Override
    public Kind kind() {
      return Kind.QUERY_NORM;
    }

    @Override
    public Site site() {
      return new Site.QueryLatent(layer);
    }
  }

  record LatentNorm(int layer) implements Pair {
    @Override
    public Kind kind() {
      return Kind.LATENT_NORM;
    }

    @Override
    public Site site() {
      return new Site.KeyValueLatent(layer);
    }
  }

  record ValueOutput(int layer) implements Pair {
    @Override
    public Kind kind() {
      return Kind.VALUE_OUTPUT;
    }

    @Override
    public Site site() {
      return new Site.AttentionOutput(layer);
    }
  }

  record DenseUpDown(int layer) implements Pair {
    @Override
    public Kind kind() {
      return Kind.UP_DOWN;
    }

    @Override
    public Site site() {
      return new Site.DenseDown(layer);
    }
  }

  record SharedUpDown(int layer) implements Pair {
    @Override
    public Kind kind() {
      return Kind.UP_DOWN;
    }

    @Override
    public Site site() {
      return new Site.SharedDown(layer);
    }

    @Override
    public String title() {
      return kind().label() + " of layer " + layer + ", shared expert";
    }
  }

  record ExpertUpDown(int layer, int expert) implements Pair {
    @Override
    public Kind kind() {
      return Kind.UP_DOWN;
    }

    @Override
    public Site site() {
      return new Site.ExpertDown(layer, expert);
    }

    @Override
    public String title() {
      return kind().label() + " of layer " + layer + ", expert " + expert;
    }
  }

  record FeedForwardNorm(int layer) implements Pair {
    @Override
    public Kind kind() {
      return Kind.FEED_FORWARD_NORM;
    }

    @Override
    public Site site() {
      return new Site.FeedForwardInput(layer);
    }
  }
}
