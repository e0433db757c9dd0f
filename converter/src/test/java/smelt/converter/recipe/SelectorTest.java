package smelt.converter.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.TensorRole;

class SelectorTest {

  private static final TensorRole KV_B = new TensorRole.Attention(3, TensorRole.AttentionPart.KV_B);

  @Test
  void aRoleIsPickedByItsLabelOrTheFirstPartOfIt() {
    assertThat(new Selector.Role("attention.kv_b").matches(KV_B, "any")).isTrue();
    assertThat(new Selector.Role("attention").matches(KV_B, "any")).isTrue();
    assertThat(new Selector.Role("attention.kv_a").matches(KV_B, "any")).isFalse();
    assertThat(new Selector.Role("router").matches(KV_B, "any")).isFalse();
  }

  @Test
  void aLabelThatOnlyBeginsTheSameIsNotPicked() {
    TensorRole bias = new TensorRole.AttentionBias(3, TensorRole.AttentionPart.Q);
    assertThat(new Selector.Role("attention").matches(bias, "any")).isFalse();
    assertThat(new Selector.Role("router").matches(new TensorRole.RouterBias(3), "any")).isFalse();
  }

  @Test
  void anExpressionIsAnchoredAtTheStartOnly() {
    TensorRole role = new TensorRole.DenseMlp(0, Projection.UP);
    Selector selector = new Selector.Pattern(Pattern.compile("model\\.layers\\.0\\."));
    assertThat(selector.matches(role, "model.layers.0.mlp.up_proj.weight")).isTrue();
    assertThat(selector.matches(role, "x.model.layers.0.mlp.up_proj.weight")).isFalse();
    assertThat(selector.matches(role, "model.layers.01")).isFalse();
    Selector either = new Selector.Pattern(Pattern.compile("a|.*_proj"));
    assertThat(either.matches(role, "b.up_proj.weight")).isTrue();
  }

  @Test
  void everyKindOfRoleHasALabelToNameIt() {
    List<Object> kinds =
        new ArrayList<>(List.of((Object[]) TensorRole.class.getPermittedSubclasses()));
    kinds.remove(TensorRole.Foreign.class);
    assertThat(RoleLabels.examples().map(role -> (Object) role.getClass()).distinct())
        .containsExactlyInAnyOrderElementsOf(kinds);
    assertThat(RoleLabels.examples())
        .allSatisfy(
            role -> assertThat(new Selector.Role(role.label()).matches(role, "any")).isTrue());
  }

  @Test
  void anUnknownLabelCannotBeMade() {
    assertThatThrownBy(() -> new Selector.Role("atention"))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void expressionsWithTheSameTextAreEqual() {
    assertThat(new Selector.Pattern(Pattern.compile("a.b")))
        .isEqualTo(new Selector.Pattern(Pattern.compile("a.b")))
        .isNotEqualTo(new Selector.Pattern(Pattern.compile("a.c")));
  }
}
