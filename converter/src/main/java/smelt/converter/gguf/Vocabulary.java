package smelt.converter.gguf;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import tools.jackson.databind.JsonNode;

/// Tokens, their types and merges of a byte-level BPE tokenizer, as llama.cpp lists them.
///
/// @param tokens one for each id of the model; ids that the tokenizer lacks are `[PADn]`
/// @param types for each token: 1 normal, 3 control, 4 added by a user, 5 unused
/// @param merges pairs of tokens with a space between them, first merge first
/// @param preTokenizer how text is cut before it is merged
record Vocabulary(
    List<String> tokens, List<Integer> types, List<String> merges, PreTokenizer preTokenizer) {

  private static final int NORMAL = 1;
  private static final int CONTROL = 3;
  private static final int USER_DEFINED = 4;
  private static final int UNUSED = 5;

  Vocabulary {
    tokens = List.copyOf(tokens);
    types = List.copyOf(types);
    merges = List.copyOf(merges);
  }

  /// @param size tokens of the model, which may be more than the tokenizer has
  /// @throws UnsupportedException for a tokenizer of another kind
  /// @throws BadInputException if ids are doubled or beyond the model's
  static Vocabulary of(JsonNode tokenizer, int size) {
    JsonNode model = tokenizer.path("model");
    if (!model.path("type").asString("").equals("BPE")
        || model.path("byte_fallback").asBoolean(false)) {
      throw new UnsupportedException(
          TokenizerMetadata.TOKENIZER + ": a tokenizer of type " + model.path("type"),
          "byte-level BPE can be written");
    }
    String[] tokens = new String[size];
    Integer[] types = new Integer[size];
    for (Map.Entry<String, JsonNode> entry : model.path("vocab").properties()) {
      int id = id(entry.getValue(), entry.getKey(), size);
      place(tokens, id, entry.getKey());
      types[id] = NORMAL;
    }
    for (JsonNode added : tokenizer.path("added_tokens")) {
      String token = added.path("content").asString("");
      int id = id(added.path("id"), token, size);
      place(tokens, id, token);
      boolean control = added.path("special").asBoolean(false) || looksSpecial(token);
      types[id] = control ? CONTROL : USER_DEFINED;
    }
    for (int id = 0; id < size; id++) {
      if (tokens[id] == null) {
        tokens[id] = "[PAD" + id + "]";
        types[id] = UNUSED;
      }
    }
    return new Vocabulary(
        Arrays.asList(tokens), Arrays.asList(types), merges(model), PreTokenizer.of(tokenizer));
  }

  private static int id(JsonNode node, String token, int size) {
    if (!node.isIntegralNumber()
        || !node.canConvertToInt()
        || node.intValue() < 0
        || node.intValue() >= size) {
      throw bad("id " + node + " of token '" + token + "'", "an id from 0 to " + (size - 1));
    }
    return node.intValue();
  }

  private static void place(String[] tokens, int id, String token) {
    if (tokens[id] != null && !tokens[id].equals(token)) {
      throw bad("the tokens '" + tokens[id] + "' and '" + token + "' with id " + id, "one of them");
    }
    tokens[id] = token;
  }

  /// Some tokenizers do not mark the tokens of their chat format as special.
  private static boolean looksSpecial(String token) {
    return (token.startsWith("<|") && token.endsWith("|>"))
        || (token.startsWith("<｜") && token.endsWith("｜>"));
  }

  private static List<String> merges(JsonNode model) {
    List<String> merges = new ArrayList<>();
    for (JsonNode merge : model.path("merges")) {
      String pair =
          merge.isArray() && merge.size() == 2
              ? merge.path(0).asString("") + " " + merge.path(1).asString("")
              : merge.asString("");
      if (pair.chars().filter(c -> c == ' ').count() != 1) {
        throw bad("merge " + merge, "two tokens without spaces");
      }
      merges.add(pair);
    }
    return merges;
  }

  /// The id of a token.
  OptionalInt id(String token) {
    int id = tokens.indexOf(token);
    return id < 0 ? OptionalInt.empty() : OptionalInt.of(id);
  }

  private static BadInputException bad(String found, String expected) {
    return new BadInputException(
        TokenizerMetadata.TOKENIZER,
        found,
        expected,
        "use the tokenizer that was published with the weights");
  }
}
