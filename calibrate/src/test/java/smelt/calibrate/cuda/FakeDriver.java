package smelt.calibrate.cuda;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import smelt.formats.Checkout;

/// NVIDIA's driver library, played by the processor: `src/test/cuda/fake_driver.cpp` with the
/// kernels of `src/main/cuda`, compiled by the system's C++ compiler when it is first needed. Tests
/// that need it are skipped, and say so, where there is none.
@SuppressWarnings("restricted") // native access is what this class is for
final class FakeDriver {

  /// What a test class locks that uses it: a process has one driver.
  static final String LOCK = "the stand-in for a GPU's driver";

  private static final Pattern ENTRY = Pattern.compile("extern \"C\" ENTRY void\\s+(\\w+)\\(");

  private static final List<String> COMPILE =
      List.of(
          "g++",
          "-std=c++17",
          "-O1",
          "-ffp-contract=off",
          "-fno-strict-aliasing",
          "-U_FORTIFY_SOURCE",
          "-fPIC",
          "-shared",
          "-fvisibility=hidden",
          "-Wl,-soname," + CudaProbe.LIBRARY);

  /// Loaded once: a process cannot change its driver.
  private static FakeDriver loaded;

  private final MethodHandle set;
  private final MethodHandle reset;
  private final MethodHandle count;

  private FakeDriver(SymbolLookup library) {
    Linker linker = Linker.nativeLinker();
    this.set =
        linker.downcallHandle(
            library.findOrThrow("fake_set"),
            FunctionDescriptor.ofVoid(ValueLayout.ADDRESS, ValueLayout.JAVA_LONG));
    this.reset =
        linker.downcallHandle(library.findOrThrow("fake_reset"), FunctionDescriptor.ofVoid());
    this.count =
        linker.downcallHandle(
            library.findOrThrow("fake_count"),
            FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.ADDRESS));
  }

  /// The driver with its usual device: 1 GiB of memory, compute capability 9.0, CUDA 13.0.
  static synchronized FakeDriver fresh() throws IOException, InterruptedException {
    if (loaded == null) {
      assumeTrue(hasCompiler(), "no g++: host code and kernels are not tested on the processor");
      Path library = build();
      System.load(library.toString());
      loaded = new FakeDriver(SymbolLookup.libraryLookup(library, Arena.global()));
    }
    loaded.call(loaded.reset);
    return loaded;
  }

  /// The usual device, open.
  static CudaDevice device() throws IOException, InterruptedException {
    fresh();
    return CudaDevice.open((CudaState.Ready) CudaProbe.probe());
  }

  /// Changes what the driver says or does: `devices`, `driver`, `memory`, `capability`, `init`; or
  /// which call from now on fails: `failAlloc`, `failRegister`, `failLaunch`.
  void set(String setting, long value) {
    try (Arena arena = Arena.ofConfined()) {
      call(set, arena.allocateFrom(setting), value);
    }
  }

  /// What is open now (`blocks`, `streams`, `pinned`, `modules`, `contexts`), or happened so far
  /// (`launches`, `copied`, `overruns`).
  long count(String counter) {
    try (Arena arena = Arena.ofConfined()) {
      return (long) call(count, arena.allocateFrom(counter));
    }
  }

  private Object call(MethodHandle handle, Object... arguments) {
    try {
      return handle.invokeWithArguments(arguments);
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  private static boolean hasCompiler() throws IOException, InterruptedException {
    try {
      return new ProcessBuilder("g++", "--version")
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start()
              .waitFor()
          == 0;
    } catch (IOException _) {
      return false;
    }
  }

  private static Path build() throws IOException, InterruptedException {
    Path module = Checkout.root().resolve("calibrate");
    Path kernels = module.resolve("src/main/cuda");
    Path stand = module.resolve("src/test/cuda");
    Path folder = Files.createDirectories(module.resolve("target/fake-driver"));
    Path library = folder.resolve(CudaProbe.LIBRARY);
    if (isNewer(library, kernels) && isNewer(library, stand)) {
      return library;
    }
    Path whole = folder.resolve("fake.cpp");
    Files.writeString(whole, source(kernels));
    List<String> command = new ArrayList<>(COMPILE);
    command.addAll(List.of("-I" + kernels, "-I" + stand, whole.toString(), "-o"));
    Path fresh = folder.resolve("fresh.so");
    command.add(fresh.toString());
    run(command);
    return Files.move(fresh, library, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
  }

  private static boolean isNewer(Path library, Path sources) throws IOException {
    if (!Files.exists(library)) {
      return false;
    }
    try (Stream<Path> files = Files.list(sources)) {
      for (Path file : files.toList()) {
        if (Files.getLastModifiedTime(file).compareTo(Files.getLastModifiedTime(library)) >= 0) {
          return false;
        }
      }
    }
    return true;
  }

  /// Everything in one file, with a table of the kernels.
  private static String source(Path kernels) throws IOException, InterruptedException {
    StringBuilder text = new StringBuilder("#include \"threads.h\"\n");
    StringBuilder table = new StringBuilder();
    for (Path file : kernelFiles(kernels)) {
      text.append("#include \"").append(file.getFileName()).append("\"\n");
      for (String name : entries(file)) {
        table.append("  {\"" + name + "\", fake::binder(" + name + ")},\n");
      }
    }
    return text
        + "#include \"fake_driver.cpp\"\n"
        + "std::map<std::string, fake::Binder>& fake::kernels() {\n"
        + "  static std::map<std::string, fake::Binder> all = {\n"
        + table
        + "  };\n  return all;\n}\n";
  }

  static List<Path> kernelFiles(Path kernels) throws IOException {
    try (Stream<Path> files = Files.list(kernels)) {
      return files.filter(file -> file.toString().endsWith(".cu")).sorted().toList();
    }
  }

  /// Entry points of a file, after its macros are applied.
  static List<String> entries(Path file) throws IOException, InterruptedException {
    String text =
        run(
            List.of(
                "g++",
                "-E",
                "-P",
                "-D__global__=ENTRY",
                "-D__launch_bounds__(...)=",
                "-x",
                "c++",
                file.toString()));
    List<String> names = new ArrayList<>();
    Matcher matcher = ENTRY.matcher(text);
    while (matcher.find()) {
      names.add(matcher.group(1));
    }
    return names;
  }

  private static String run(List<String> command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (process.waitFor() != 0) {
      throw new IllegalStateException(String.join(" ", command) + "\n" + said);
    }
    return said;
  }
}
