package smelt.converter.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// A command that has run, as the shell's `time` saw it.
///
/// @param seconds from its start to its end
/// @param cpuSeconds processor time that it took, its own and the system's for it
/// @param output what it printed
record Timed(double seconds, double cpuSeconds, String output) {

  private static final String SCRIPT =
      "TIMEFORMAT='%R %U %S'; out=$1; shift; time \"$@\" >\"$out\"";

  /// Runs a command to its end.
  ///
  /// @param scratch folder for its output
  /// @throws IOException if it fails
  static Timed run(Path scratch, String... command) throws IOException, InterruptedException {
    Path output = scratch.resolve("stdout");
    Path errors = scratch.resolve("stderr");
    List<String> shell = new ArrayList<>(List.of("bash", "-c", SCRIPT, "bash", output.toString()));
    shell.addAll(List.of(command));
    Process process =
        new ProcessBuilder(shell)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .redirectError(errors.toFile())
            .start();
    int code = process.waitFor();
    List<String> lines = Files.readAllLines(errors);
    if (code != 0) {
      throw new IOException(String.join(" ", command) + " ended with " + code + ": " + lines);
    }
    String[] times = lines.getLast().strip().split(" ", -1);
    return new Timed(
        Double.parseDouble(times[0]),
        Double.parseDouble(times[1]) + Double.parseDouble(times[2]),
        Files.readString(output));
  }
}
