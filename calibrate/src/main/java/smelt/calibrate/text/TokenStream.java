package smelt.calibrate.text;

import java.util.Arrays;

/// Decodes ids as they come. A token may hold a part of a character, and what a token means may
/// depend on the one before it, so text is given out only when it is settled: put together it is
/// what [Tokenizer#decode] makes of all ids at once. For one thread.
public final class TokenStream {

  private static final char REPLACEMENT = '\uFFFD';

  private final Tokenizer tokenizer;
  private int[] ids = new int[64];
  private int count;

  /// The ids from `context` to `settled` gave the text before; they are decoded again, because the
  /// meaning of those behind them may depend on them.
  private int context;

  private int settled;

  /// Characters of the text from `context` on that are given out already.
  private int given;

  TokenStream(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  /// The text that is settled by one more id; often empty.
  public String next(int id) {
    add(id);
    String text = tokenizer.decode(ids, context, count);
    if (text.length() <= given || text.charAt(text.length() - 1) == REPLACEMENT) {
      return "";
    }
    String fresh = text.substring(given);
    context = settled;
    settled = count;
    given = tokenizer.decode(ids, context, count).length();
    return fresh;
  }

  /// The rest, when no id follows: an unfinished character is U+FFFD.
  public String finish() {
    String text = tokenizer.decode(ids, context, count);
    String rest = text.substring(Math.min(given, text.length()));
    count = 0;
    context = 0;
    settled = 0;
    given = 0;
    return rest;
  }

  private void add(int id) {
    if (count == ids.length) {
      System.arraycopy(ids, context, ids, 0, count - context);
      count -= context;
      settled -= context;
      context = 0;
      if (count > ids.length / 2) {
        ids = Arrays.copyOf(ids, 2 * ids.length);
      }
    }
    ids[count++] = id;
  }
}
