package smelt.converter;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.spi.ToolProvider;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.formats.Checkout;

/// Runs the launcher in a checkout of its own, whose "Maven" puts the program together from the
/// class path of the tests and counts how often it was asked.
class LauncherTest {

  private static final Pattern TEST_ONLY =
      Pattern.compile("junit|assertj|byte-buddy|jmh|jazzer|opentest4j|apiguardian");

  @TempDir static Path made;
  @TempDir Path folder;
  private Path checkout;
  private Path target;
  private String javaHome = System.getProperty("java.home");

  private record Result(int exit, String out, String err) {}

  /// The jars as a build makes them.
  @BeforeAll
  static void packTheProgram() throws IOException {
    program(Files.createDirectories(made.resolve("lib")));
  }

  @BeforeEach
  void layOutACheckout() throws IOException {
    checkout = Files.createDirectories(folder.resolve("a checkout"));
    target = checkout.resolve("converter/target");
    Path root = Checkout.root();
    Files.createDirectories(checkout.resolve(".mvn"));
    Files.copy(
        root.resolve("smelt"), checkout.resolve("smelt"), StandardCopyOption.COPY_ATTRIBUTES);
    Files.copy(root.resolve(".mvn/jdk.sh"), checkout.resolve(".mvn/jdk.sh"));
    Path flags = Path.of("converter/src/main/jvm/work.args");
    Files.createDirectories(checkout.resolve(flags).getParent());
    Files.copy(root.resolve(flags), checkout.resolve(flags));
    Path bin = Files.createDirectories(folder.resolve("bin"));
    Path mvn = bin.resolve("mvn");
    Files.writeString(
        mvn,
        """
        #!/bin/sh
        echo "$PWD $*" >>'%1$s/builds'
        mkdir -p converter/target && cp -R '%2$s/.' converter/target
        """
            .formatted(folder, made));
    assertThat(mvn.toFile().setExecutable(true)).isTrue();
  }

  @Test
  void buildsOnceAnswersFromAnywhereAndMendsItsCache() throws Exception {
    String smelt = checkout.resolve("smelt").toString();
    Result first = smelt(folder, smelt, "--version");
    assertThat(first.err()).startsWith("smelt: building once").hasLineCount(1);
    assertThat(first.out()).isEqualTo("smelt " + Version.text() + "\n");
    assertThat(first.exit()).isZero();
    Path link = folder.resolve("link");
    Files.createSymbolicLink(link, Path.of("a checkout/smelt"));
    Result second = smelt(Path.of("/"), link.toString(), "--version");
    assertThat(second).isEqualTo(new Result(0, first.out(), ""));
    assertThat(Files.readAllLines(folder.resolve("builds")))
        .singleElement()
        .asString()
        .startsWith(checkout.toRealPath() + " ");
    handsOnArgumentsAndExitCode(smelt);
    kernelCommandsGetTheVectorModuleAndOthersNoWarning(smelt);
    aBrokenOrOldCacheOfClassesDoesNoHarm(smelt, first);
  }

  private void handsOnArgumentsAndExitCode(String smelt) throws Exception {
    Result result = smelt(folder, smelt, "recipes", "no such  one");
    assertThat(result.exit()).isEqualTo(2);
    assertThat(result.err()).contains("recipe 'no such  one'");
  }

  private void kernelCommandsGetTheVectorModuleAndOthersNoWarning(String smelt) throws Exception {
    Result doctor = smelt(folder, smelt, "doctor", "--json");
    assertThat(doctor.out()).contains("\"vector_module\" : true");
    Result recipes = smelt(folder, smelt, "recipes");
    assertThat(recipes.err()).isEmpty();
  }

  private void aBrokenOrOldCacheOfClassesDoesNoHarm(String smelt, Result first) throws Exception {
    Result good = new Result(0, first.out(), "");
    Path cache = target.resolve("smelt.aot");
    assertThat(cache).exists();
    Files.writeString(cache, "no cache");
    assertThat(smelt(folder, smelt, "--version")).isEqualTo(good);
    FileTime old = FileTime.from(Instant.EPOCH);
    Files.setLastModifiedTime(cache, old);
    assertThat(smelt(folder, smelt, "--version")).isEqualTo(good);
    assertThat(Files.getLastModifiedTime(cache)).isGreaterThan(old);
    assertThat(Files.size(cache)).isGreaterThan(1_000_000);
    Files.setLastModifiedTime(target.resolve("smelt.jar"), FileTime.from(Instant.EPOCH));
    assertThat(smelt(folder, smelt, "--version")).isEqualTo(good);
  }

  /// A stand-in for Java tells what it was asked.
  @ParameterizedTest
  @CsvSource({
    "convert, true",
    "repack, true",
    "choose, true",
    "verify, true",
    "calibrate, true",
    "generate, true",
    "plan --assume measure, true",
    "plan --assume disk=1GB/s, false",
    "inspect, false",
    "check, false",
    "diff, false",
    "doctor, true",
    "recipes, false"
  })
  void whatComputesGetsKernelsAndTheBetterCompiler(String words, boolean computes)
      throws Exception {
    Path jdk = Files.createDirectories(folder.resolve("jdk/bin")).getParent();
    Files.writeString(jdk.resolve("release"), "JAVA_VERSION=\"25.0.1\"\n");
    Path java = Files.writeString(jdk.resolve("bin/java"), "#!/bin/sh\necho \"$@\"\n");
    assertThat(java.toFile().setExecutable(true)).isTrue();
    javaHome = jdk.toString();
    List<String> command = new ArrayList<>(List.of(checkout.resolve("smelt").toString()));
    command.addAll(List.of(words.split(" ")));
    Result result = smelt(folder, command.toArray(String[]::new));
    assertThat(result.out()).endsWith(words + "\n");
    assertThat(result.out().contains("work.args")).as(result.out()).isEqualTo(computes);
  }

  @Test
  void aFailedBuildIsSaid() throws Exception {
    Files.writeString(folder.resolve("bin/mvn"), "#!/bin/sh\necho no network\nexit 1\n");
    Result result = smelt(folder, checkout.resolve("smelt").toString(), "--version");
    assertThat(result.err()).contains("no network").contains("smelt: the build failed");
    assertThat(result.exit()).isEqualTo(70);
    assertThat(result.out()).isEmpty();
  }

  /// The jars as the build lays them out: `smelt.jar` with a class path into `lib/`.
  private static void program(Path lib) throws IOException {
    List<String> names = new ArrayList<>();
    Path classes = Path.of("");
    for (Path path : classPath()) {
      if (path.endsWith("converter/target/classes")) {
        classes = path;
      } else if (Files.isDirectory(path)) {
        String name = names.size() + ".jar";
        jar("--create", "--file", lib.resolve(name).toString(), "-C", path.toString(), ".");
        names.add(name);
      } else if (Files.exists(path) && !TEST_ONLY.matcher(path.getFileName().toString()).find()) {
        Files.copy(path, lib.resolve(path.getFileName()));
        names.add(path.getFileName().toString());
      }
    }
    Path manifest = lib.resolveSibling("manifest");
    Files.writeString(manifest, "Class-Path: lib/" + String.join("\n  lib/", names) + "\n");
    jar(
        "--create",
        "--file=" + lib.resolveSibling("smelt.jar"),
        "--manifest=" + manifest,
        "--main-class=smelt.converter.Main",
        "-C",
        classes.toString(),
        ".");
  }

  private static List<Path> classPath() {
    return Pattern.compile(File.pathSeparator, Pattern.LITERAL)
        .splitAsStream(Program.classPath())
        .map(Path::of)
        .toList();
  }

  private static void jar(String... args) {
    assertThat(ToolProvider.findFirst("jar").orElseThrow().run(System.out, System.err, args))
        .isZero();
  }

  private Result smelt(Path workingFolder, String... command)
      throws IOException, InterruptedException {
    Path out = folder.resolve("out");
    Path err = folder.resolve("err");
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .directory(workingFolder.toFile())
            .redirectOutput(out.toFile())
            .redirectError(err.toFile());
    builder.environment().put("SMELT_JAVA_HOME", javaHome);
    builder.environment().merge("PATH", folder.resolve("bin") + ":", (path, bin) -> bin + path);
    Process process = builder.start();
    assertThat(process.waitFor(120, TimeUnit.SECONDS)).as("ended in time").isTrue();
    return new Result(process.exitValue(), Files.readString(out), Files.readString(err));
  }
}
