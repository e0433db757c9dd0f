package smelt.calibrate.text;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.source.ModelSource;
import tools.jackson.databind.JsonNode;

/// The tokens around a text, as a model's own files name them.
///
/// `begin` is put before every sequence if the model was trained so: when `add_bos_token` of
/// `tokenizer_config.json` is true; where that key is missing, when the tokenizer's post-processor
/// puts one token in front. `ends` are `eos_token_id` of `generation_config.json`, otherwise of
/// `config.json`, otherwise `eos_token` of `tokenizer_config.json`.
///
/// @param begin the token before every sequence; empty when the model takes none
/// @param ends the tokens that end a text, the usual one first
public record SpecialTokens(OptionalInt begin, List<Integer> ends) {

  private static final String TOKENIZER_CONFIG = "tokenizer_config.json";
  private static final String GENERATION_CONFIG = "generation_config.json";

  public SpecialTokens {
    ends = List.copyOf(ends);
  }

  /// Reads a model's files.
  ///
  /// @param tokenizer the model's own, if it has one; without it no token begins a sequence, since
  ///   ids are taken as they are
  /// @throws BadInputException if the files contradict each other or the model's vocabulary
  public static SpecialTokens of(ModelSource source, Optional<Tokenizer> tokenizer)
      throws IOException {
    ModelConfig config = ModelConfig.read(source);
    Optional<ModelConfig> tokens = read(source, TOKENIZER_CONFIG);
    List<Integer> ends = new ArrayList<>();
    for (Optional<ModelConfig> file :
        List.of(read(source, GENERATION_CONFIG), Optional.of(config))) {
      if (ends.isEmpty() && file.isPresent()) {
        ends.addAll(ids(file.get(), "eos_token_id"));
      }
    }
    OptionalInt begin = OptionalInt.empty();
    if (tokenizer.isPresent()) {
      begin = begin(tokenizer.get(), config, tokens);
      if (ends.isEmpty() && tokens.isPresent()) {
        named(tokenizer.get(), tokens.get(), "eos_token").ifPresent(ends::add);
      }
    }
    SpecialTokens found = new SpecialTokens(begin, ends);
    found.require(config.vocabSize());
    return found;
  }

  /// Whether a text ends with this token.
  public boolean isEnd(int id) {
    return ends.contains(id);
  }

  private static OptionalInt begin(
      Tokenizer tokenizer, ModelConfig config, Optional<ModelConfig> tokens) {
    if (tokens.isEmpty() || tokens.get().tree().path("add_bos_token").isMissingNode()) {
      return putInFront(tokenizer);
    }
    if (!tokens.get().flag("add_bos_token")) {
      return OptionalInt.empty();
    }
    OptionalInt named = named(tokenizer, tokens.get(), "bos_token");
    if (named.isPresent()) {
      return named;
    }
    return ids(config, "bos_token_id").stream().mapToInt(Integer::intValue).findFirst();
  }

  /// The one token that the tokenizer itself puts before a text.
  private static OptionalInt putInFront(Tokenizer tokenizer) {
    int[] bare = tokenizer.encode("a", false);
    int[] framed = tokenizer.encode("a", true);
    boolean inFront =
        framed.length > bare.length
            && bare.length > 0
            && framed[1] == bare[0]
            && framed[0] != bare[0];
    return inFront ? OptionalInt.of(framed[0]) : OptionalInt.empty();
  }

  /// The id of a token that is given by its text, or as an object that holds its text.
  private static OptionalInt named(Tokenizer tokenizer, ModelConfig file, String key) {
    JsonNode node = file.tree().path(key);
    JsonNode content = node.isObject() ? node.path("content") : node;
    if (!content.isString()) {
      return OptionalInt.empty();
    }
    int[] ids = tokenizer.encode(content.stringValue());
    if (ids.length != 1) {
      throw new BadInputException(
          TOKENIZER_CONFIG,
          key + " '" + content.stringValue() + "', which is " + ids.length + " tokens",
          "one token of " + Tokenizer.FILE,
          "use the two files that were published together");
    }
    return OptionalInt.of(ids[0]);
  }

  /// One id, or a list of them.
  private static List<Integer> ids(ModelConfig file, String key) {
    return file.tree().path(key).isArray()
        ? file.ints(key)
        : file.optionalInt(key, 0, Integer.MAX_VALUE).stream().boxed().toList();
  }

  private static Optional<ModelConfig> read(ModelSource source, String name) throws IOException {
    return source.names().contains(name)
        ? Optional.of(ModelConfig.parse(name, source.readSmall(name, ModelConfig.SIZE_LIMIT)))
        : Optional.empty();
  }

  private void require(int vocabulary) {
    List<Integer> all = new ArrayList<>(ends);
    begin.ifPresent(all::add);
    for (int id : all) {
      if (id < 0 || id >= vocabulary) {
        throw new BadInputException(
            "special tokens",
            "id " + id,
            "an id below vocab_size " + vocabulary,
            "use the files that were published with the weights");
      }
    }
  }
}
