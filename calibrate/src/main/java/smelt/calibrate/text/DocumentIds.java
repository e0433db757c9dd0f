package smelt.calibrate.text;

import java.io.IOException;
import java.util.Optional;
import java.util.stream.IntStream;
import smelt.formats.BadInputException;
import smelt.formats.Problem;
import smelt.formats.UnsupportedException;

/// Makes ids of documents: a text is tokenized and gets the model's begin token, ids are taken as
/// they are. No id is outside of the model's vocabulary.
///
/// @param vocabulary number of ids that the model knows
record DocumentIds(Optional<Tokenizer> tokenizer, SpecialTokens special, int vocabulary) {

  /// The ids of a document.
  ///
  /// @param ended whether the model's end token follows a text
  int[] of(Corpus.Entry entry, boolean ended) throws IOException {
    return switch (entry.read().content()) {
      case DocumentText.Content.Ids given ->
          checked(given.ids().copy(), entry, "ids of this model's vocabulary");
      case DocumentText.Content.Text text -> {
        int[] ids = encode(text.text(), entry);
        if (ids.length == 0) {
          yield ids;
        }
        IntStream begin = special.begin().stream();
        IntStream end = special.ends().stream().limit(ended ? 1 : 0).mapToInt(Integer::intValue);
        int[] framed = IntStream.concat(IntStream.concat(begin, IntStream.of(ids)), end).toArray();
        yield checked(framed, entry, "the tokenizer that belongs to this model");
      }
    };
  }

  private int[] encode(String text, Corpus.Entry entry) {
    if (tokenizer.isEmpty()) {
      throw new UnsupportedException(
          entry.where() + ": text for a model without " + Tokenizer.FILE,
          "give a corpus of token ids, one list a line");
    }
    try {
      return tokenizer.get().encode(text);
    } catch (BadInputException e) {
      throw new BadInputException(
          e.problems().stream()
              .map(p ->
                  new Problem(
                      entry.where() + ", " + p.where(), p.found(), p.expected(), p.remedy()))
              .toList());
    }
  }

  private int[] checked(int[] ids, Corpus.Entry entry, String remedy) {
    for (int id : ids) {
      if (id >= vocabulary) {
        throw new BadInputException(
            entry.where(), "token id " + id, "ids below vocab_size " + vocabulary, "use " + remedy);
      }
    }
    return ids;
  }
}
