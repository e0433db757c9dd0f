package smelt.converter;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import smelt.converter.cli.Interruption;
import smelt.converter.cli.Terminal;
import smelt.formats.Checkout;

/// Runs the program: in this process, where code that earlier tests ran is compiled already, or as
/// a process of its own, on the class path of the tests.
///
/// `Program.run("recipes", "--json")` gives exit code, answer and messages. What is asked of a
/// process, such as its memory or what it does with a signal, is asked of `Program.smelt()`: `go`
/// runs it to its end, `start` leaves it running.
public final class Program {

  private static final long LONGEST_SECONDS = 400;
  private static final List<String> FLAGS =
      List.of("@" + Checkout.root().resolve("converter/src/main/jvm/work.args"));

  /// How it ended. The JVM's own warning of incubator modules is left out of the messages.
  public record Result(int exit, String out, String err) {}

  private final String mainClass;
  private final List<String> jvmFlags = new ArrayList<>(FLAGS);
  private final Map<String, String> environment = new TreeMap<>();
  private List<String> prefix = List.of();
  private Path folder = Path.of("").toAbsolutePath();

  private Program(String mainClass) {
    this.mainClass = mainClass;
  }

  /// The program itself.
  public static Program smelt() {
    return new Program("smelt.converter.Main");
  }

  /// Another main class of the test class path.
  public static Program of(Class<?> main) {
    return new Program(main.getName());
  }

  /// Runs `smelt ARGS` to its end, in this process.
  public static Result run(String... args) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    Interruption interruption = new Interruption();
    int code = Main.run(Terminal.of(out, err), interruption, InputStream.nullInputStream(), args);
    interruption.ended(code);
    interruption.disarm();
    return new Result(
        code, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
  }

  public Program in(Path workingFolder) {
    folder = workingFolder;
    return this;
  }

  public Program jvm(String... flags) {
    jvmFlags.addAll(List.of(flags));
    return this;
  }

  /// Starts the Java machine without the flags of the launcher.
  public Program bare() {
    jvmFlags.clear();
    return this;
  }

  /// Starts the Java machine as the launcher does for `inspect` and `plan`, and leaves out the
  /// better compiler: a run is over before it has paid for itself.
  public Program brief() {
    return jvm("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1");
  }

  /// Puts words before the command, such as those of a shell that sets limits.
  public Program under(String... words) {
    prefix = List.of(words);
    return this;
  }

  public Program environment(String key, String value) {
    environment.put(key, value);
    return this;
  }

  /// Runs it to its end.
  public Result go(String... args) {
    return goWatched(process -> {}, args);
  }

  /// Runs it to its end.
  ///
  /// @param watcher gets the process as soon as it runs
  public Result goWatched(Consumer<Process> watcher, String... args) {
    try {
      Path out = Files.createTempFile("program-", ".out");
      Path err = Files.createTempFile("program-", ".err");
      try {
        Process process =
            builder(args).redirectOutput(out.toFile()).redirectError(err.toFile()).start();
        process.getOutputStream().close();
        watcher.accept(process);
        if (!process.waitFor(LONGEST_SECONDS, TimeUnit.SECONDS)) {
          process.destroyForcibly().waitFor();
          throw new AssertionError("still running after " + LONGEST_SECONDS + " s: " + text(err));
        }
        return new Result(process.exitValue(), text(out), withoutJvmWarnings(text(err)));
      } finally {
        Files.delete(out);
        Files.delete(err);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    }
  }

  /// Starts it and leaves it running; what it writes is thrown away. The caller ends it.
  public Process start(String... args) throws IOException {
    return builder(args)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .redirectError(ProcessBuilder.Redirect.DISCARD)
        .start();
  }

  /// Starts it and leaves it running; its messages go to a file. The caller ends it.
  public Process start(Path messages, String... args) throws IOException {
    return builder(args)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .redirectError(messages.toFile())
        .start();
  }

  private ProcessBuilder builder(String... args) {
    List<String> command = new ArrayList<>(prefix);
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(jvmFlags);
    command.add("-cp");
    command.add(classPath());
    command.add(mainClass);
    command.addAll(List.of(args));
    ProcessBuilder builder = new ProcessBuilder(command).directory(folder.toFile());
    builder.environment().putAll(environment);
    return builder;
  }

  /// The class path of the tests, whichever way the test runner passes it.
  static String classPath() {
    return System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
  }

  private static String text(Path file) throws IOException {
    return Files.readString(file, StandardCharsets.UTF_8);
  }

  private static String withoutJvmWarnings(String err) {
    StringBuilder kept = new StringBuilder();
    err.lines()
        .filter(line -> !line.startsWith("WARNING: Using incubator modules:"))
        .forEach(line -> kept.append(line).append('\n'));
    return kept.toString();
  }
}
