package smelt.converter.recipe;

import smelt.formats.checkpoint.TensorRole;

/// Picks tensors by what they are for, or by their name.
public sealed interface Selector {

  /// Whether a tensor is picked.
  boolean matches(TensorRole role, String tensorName);

  /// As it stands in a recipe: a role's label, or `re:` and the expression.
  String text();

  /// Picks a role by its label; a label's first part picks all of its kind: `attention` picks
  /// `attention.kv_b`, but not `attention_bias`.
  record Role(String label) implements Selector {
    public Role {
      if (!RoleLabels.all().contains(label)) {
        throw new IllegalArgumentException("no role has the label " + label);
      }
    }

    @Override
    public boolean matches(TensorRole role, String tensorName) {
      String other = role.label();
      return other.equals(label) || other.startsWith(label + ".");
    }

    @Override
    public String text() {
      return label;
    }
  }

  /// Picks names whose beginning the expression matches; `$` has to be written to match to the end.
  record Pattern(java.util.regex.Pattern regex) implements Selector {
    @Override
    public boolean matches(TensorRole role, String tensorName) {
      return regex.matcher(tensorName).lookingAt();
    }

    @Override
    public String text() {
      return "re:" + regex.pattern();
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Pattern pattern && text().equals(pattern.text());
    }

    @Override
    public int hashCode() {
      return text().hashCode();
    }
  }
}
