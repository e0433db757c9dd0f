package smelt.calibrate.text;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.io.IOException;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.LongFunction;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import smelt.formats.source.ModelSource;

/// A model's tokenizer: `tokenizer.json` in the form of Hugging Face's `tokenizers` library, which
/// reads it here too, so ids are those that the model was trained with.
///
/// Nothing is truncated, padded or added: see [SpecialTokens] for what begins a sequence. The
/// spelling of a special token inside a text becomes that token, as it does in that library. Works
/// without a network. Safe for use by several threads.
public final class Tokenizer implements AutoCloseable {

  /// The file's name in a model.
  public static final String FILE = "tokenizer.json";

  /// Largest file that is read, in bytes. The largest in use have some 40 MB.
  static final long SIZE_LIMIT = 256L << 20;

  private final TokenizersLibrary library;

  /// Taken for reading by whoever uses the handle, for writing by [#close].
  private final ReadWriteLock use = new ReentrantReadWriteLock();

  /// The native tokenizer; 0 when it is closed.
  private long handle;

  private Tokenizer(TokenizersLibrary library, long handle) {
    this.library = library;
    this.handle = handle;
  }

  /// Whether a model has a tokenizer of this form.
  public static boolean isIn(ModelSource source) {
    return source.names().contains(FILE);
  }

  /// Reads the tokenizer of a model. The caller closes it.
  ///
  /// @throws UnsupportedException if the model has none of this form
  /// @throws BadInputException if it is damaged
  public static Tokenizer open(ModelSource source) throws IOException {
    if (!isIn(source)) {
      throw new UnsupportedException(
          source.location() + " without " + FILE,
          "copy the published one there, or give token ids");
    }
    return parse(FILE, source.readSmall(FILE, SIZE_LIMIT));
  }

  /// @param where the file, for messages
  static Tokenizer parse(String where, byte[] json) throws IOException {
    String text = TokenizerJson.text(where, json);
    TokenizersLibrary library = NativeTokenizers.load();
    long handle;
    try {
      handle = library.createTokenizerFromString(text);
    } catch (RuntimeException e) {
      throw new BadInputException(
          where,
          String.valueOf(e.getMessage()),
          "a tokenizer that the tokenizers library reads",
          "copy the file again from where the model was published");
    }
    library.disableTruncation(handle);
    library.disablePadding(handle);
    return new Tokenizer(library, handle);
  }

  /// The ids of a text, without a token at its begin or end.
  ///
  /// @throws BadInputException for half of a surrogate pair, which is no character
  public int[] encode(String text) {
    return encode(text, false);
  }

  /// The ids of a text.
  ///
  /// @param framed whether the tokenizer's own post-processor may add tokens around it
  int[] encode(String text, boolean framed) {
    refuseHalfPairs(text);
    return withHandle(tokenizer -> {
      long encoding = library.encode(tokenizer, text, framed);
      try {
        long[] ids = library.getTokenIds(encoding);
        int[] narrow = new int[ids.length];
        for (int i = 0; i < ids.length; i++) {
          narrow[i] = Math.toIntExact(ids[i]);
        }
        return narrow;
      } finally {
        library.deleteEncoding(encoding);
      }
    });
  }

  /// The text of some ids, special tokens spelled out. Ids that the tokenizer does not know give
  /// nothing; bytes that are not UTF-8 give U+FFFD.
  public String decode(int... ids) {
    return decode(ids, 0, ids.length);
  }

  String decode(int[] ids, int from, int to) {
    long[] wide = new long[to - from];
    for (int i = from; i < to; i++) {
      if (ids[i] < 0) {
        throw new IllegalArgumentException("token id " + ids[i]);
      }
      wide[i - from] = ids[i];
    }
    return wide.length == 0 ? "" : withHandle(tokenizer -> library.decode(tokenizer, wide, false));
  }

  /// Decodes ids as they come, one after another.
  public TokenStream stream() {
    return new TokenStream(this);
  }

  private <T> T withHandle(LongFunction<T> work) {
    use.readLock().lock();
    try {
      if (handle == 0) {
        throw new IllegalStateException("the tokenizer is closed");
      }
      return work.apply(handle);
    } finally {
      use.readLock().unlock();
    }
  }

  private static void refuseHalfPairs(String text) {
    int half = HalfPairs.first(text);
    if (half >= 0) {
      throw new BadInputException(
          "text at character " + half,
          String.format("half of a surrogate pair (U+%04X)", (int) text.charAt(half)),
          "whole characters",
          "repair the text");
    }
  }

  @Override
  public void close() {
    use.writeLock().lock();
    try {
      if (handle != 0) {
        library.deleteTokenizer(handle);
        handle = 0;
      }
    } finally {
      use.writeLock().unlock();
    }
  }
}
