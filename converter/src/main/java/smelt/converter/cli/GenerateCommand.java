package smelt.converter.cli;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.Decoder;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.Sampler;
import smelt.calibrate.text.SpecialTokens;
import smelt.calibrate.text.TokenStream;
import smelt.calibrate.text.Tokenizer;
import smelt.converter.ByteSize;
import smelt.converter.RefusedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;

/// `smelt generate`: lets the reference model go on from a text, token by token. A signal ends it
/// at once and with the exit code that is usual for it (130 for Ctrl-C): nothing is written that
/// would have to be finished or removed, and there is nothing to go on from.
@Command(
    name = "generate",
    mixinStandardHelpOptions = true,
    description = {
      "Let a model go on from a text, with the reference model: slow, exact, for the eye.",
      "Ends at the model's end token, after --tokens, or with Ctrl-C."
    })
public final class GenerateCommand implements Callable<Integer> {

  private static final int USUAL_TOKENS = 128;

  /// Most tokens of a prompt that are read at once; what is more than that goes in pieces.
  private static final int PIECE = 256;

  private final Terminal terminal;
  private final InputStream input;

  @CommandLine.Spec private CommandLine.Model.CommandSpec command;

  @Parameters(index = "0", paramLabel = "MODEL", description = "Folder, snapshot or archive.")
  private Path model;

  @Option(
      names = "--prompt",
      required = true,
      paramLabel = "TEXT",
      description = "Text to go on from; - reads it from standard input.")
  private String prompt;

  @Option(
      names = "--ids",
      description = "The prompt is token ids, and so is the answer; needs no tokenizer.")
  private boolean ids;

  @Option(
      names = "--tokens",
      paramLabel = "N",
      description = "Tokens to add, at most (default " + USUAL_TOKENS + ", or what fits).")
  private Integer tokens;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Worker threads. Default: one for each processor.")
  private Integer threads;

  @Mixin private SamplingOptions sampling;

  @Mixin private DeviceOption device;

  /// @param input where a prompt of `-` is read from
  public GenerateCommand(Terminal terminal, InputStream input) {
    this.terminal = terminal;
    this.input = input;
  }

  @Override
  public Integer call() throws IOException {
    Sampler sampler = new Sampler(sampling.sampling());
    requirePositive("--tokens", tokens);
    requirePositive("--threads", threads);
    device.requireProcessor("generate");
    try (ModelSource source = Models.open(model)) {
      Checkpoint checkpoint = Checkpoint.open(source);
      ModelSpec spec = ModelSpec.of(checkpoint);
      if (ids) {
        generate(source, checkpoint, spec, Optional.empty(), sampler);
      } else {
        try (Tokenizer tokenizer = Tokenizer.open(source)) {
          generate(source, checkpoint, spec, Optional.of(tokenizer), sampler);
        }
      }
    }
    return ExitCode.OK.code();
  }

  private void generate(
      ModelSource source,
      Checkpoint checkpoint,
      ModelSpec spec,
      Optional<Tokenizer> tokenizer,
      Sampler sampler)
      throws IOException {
    SpecialTokens special = SpecialTokens.of(source, tokenizer);
    int[] start =
        new Prompt(prompt, command.commandLine())
            .tokens(input, tokenizer, special, spec.vocabulary());
    int more = room(checkpoint, spec, start.length);
    int capacity = Math.addExact(start.length, more);
    long scratch = Decoder.scratchBytes(checkpoint, Math.min(start.length, PIECE));
    int workers = threads == null ? Runtime.getRuntime().availableProcessors() : threads;
    try (Compute compute =
            new Compute(MathKernelSet.choose("auto"), KernelSet.choose("auto"), workers);
        ReferenceModel reference = ReferenceModel.open(checkpoint, source, compute, scratch);
        Decoder decoder = Decoder.open(reference, capacity)) {
      terminal.message(
          start.length
              + (start.length == 1 ? " token, up to " : " tokens, up to ")
              + more
              + " more; cache "
              + ByteSize.format(Decoder.cacheBytes(spec, capacity)));
      Answer answer = new Answer(terminal, tokenizer.map(Tokenizer::stream));
      Ending ending = run(decoder, spec, start, more, special, sampler, answer);
      answer.end();
      terminal.message(ending.text());
    }
  }

  /// Tokens that may be added to a prompt.
  private int room(Checkpoint checkpoint, ModelSpec spec, int start) {
    int limit =
        Math.min(
            spec.contextLimit().orElse(Integer.MAX_VALUE),
            checkpoint
                .config()
                .optionalInt("max_position_embeddings", 1, Integer.MAX_VALUE)
                .orElse(Integer.MAX_VALUE));
    int room = limit - start;
    if (room < 1 || (tokens != null && tokens > room)) {
      throw new RefusedException(
          tokens == null ? "--prompt" : "--tokens " + tokens,
          "a prompt of " + start + " tokens" + (tokens == null ? "" : " and " + tokens + " more"),
          "at most " + limit + " tokens, the model's context",
          room < 1 ? "give a shorter prompt" : "--tokens " + room);
    }
    return tokens == null ? Math.min(USUAL_TOKENS, room) : tokens;
  }

  private static Ending run(
      Decoder decoder,
      ModelSpec spec,
      int[] start,
      int more,
      SpecialTokens special,
      Sampler sampler,
      Answer answer)
      throws IOException {
    try (Arena memory = Arena.ofShared()) {
      Matrix logits = Matrix.zeros(memory, 1, spec.vocabulary());
      float[] row = new float[spec.vocabulary()];
      long began = System.nanoTime();
      read(decoder, start, logits);
      long prompted = System.nanoTime();
      for (int done = 0; done < more; done++) {
        MemorySegment.copy(logits.data(), Matrix.F32, logits.at(0, 0), row, 0, row.length);
        int next = sampler.next(row);
        if (special.isEnd(next) || !answer.add(next)) {
          return new Ending(start.length, done, prompted - began, System.nanoTime() - prompted);
        }
        if (done + 1 < more) {
          decoder.append(new int[] {next}, logits);
        }
      }
      return new Ending(start.length, more, prompted - began, System.nanoTime() - prompted);
    }
  }

  private static void read(Decoder decoder, int[] start, Matrix logits) throws IOException {
    for (int first = 0; first < start.length; first += PIECE) {
      int end = Math.min(start.length, first + PIECE);
      decoder.append(Arrays.copyOfRange(start, first, end), logits);
    }
  }

  private void requirePositive(String option, Integer value) {
    if (value != null && value < 1) {
      throw new CommandLine.ParameterException(
          command.commandLine(), option + " " + value + ": at least 1");
    }
  }

  /// What was done, for people.
  private record Ending(int read, int added, long readNanos, long addNanos) {
    String text() {
      return String.format(
          Locale.ROOT,
          "%d tokens read in %.1f s, %d added in %.1f s",
          read,
          readNanos / 1e9,
          added,
          addNanos / 1e9);
    }
  }

  /// The tokens on their way to the terminal, as text or as ids.
  private static final class Answer {
    private final Terminal terminal;
    private final Optional<TokenStream> text;
    private boolean begun;

    Answer(Terminal terminal, Optional<TokenStream> text) {
      this.terminal = terminal;
      this.text = text;
    }

    /// @return false when nobody reads the answer any more
    boolean add(int id) {
      String fresh = text.isPresent() ? text.get().next(id) : (begun ? " " : "") + id;
      begun = true;
      return terminal.answerPart(fresh);
    }

    void end() {
      terminal.answer(text.map(TokenStream::finish).orElse(""));
      terminal.flush();
    }
  }
}
