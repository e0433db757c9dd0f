package smelt.converter.cli;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import smelt.calibrate.cuda.CudaProbe;
import smelt.calibrate.cuda.CudaState;
import smelt.converter.ByteSize;
import smelt.converter.Version;
import smelt.formats.codec.Kernels;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// `smelt doctor`: what this machine offers, and what Smelt makes of it.
@Command(
    name = "doctor",
    mixinStandardHelpOptions = true,
    description = "Show what this machine offers: Java, vector width, memory, GPU driver, disk.")
public final class DoctorCommand implements Callable<Integer> {

  private static final String VECTOR_MODULE = "jdk.incubator.vector";

  private record Finding(String key, String label, Object value, String text) {}

  private final Terminal terminal;
  private final Supplier<Kernels> kernels;

  @Mixin private JsonOption json;

  /// @param kernels the set that a conversion would use
  public DoctorCommand(Terminal terminal, Supplier<Kernels> kernels) {
    this.terminal = terminal;
    this.kernels = kernels;
  }

  @Override
  public Integer call() throws IOException {
    List<Finding> findings = findings();
    if (json.wanted()) {
      ObjectNode node = JsonNodeFactory.instance.objectNode();
      findings.forEach(finding -> node.putPOJO(finding.key(), finding.value()));
      json.answer(terminal, node);
    } else {
      findings.forEach(finding ->
          terminal.answer(String.format(Locale.ROOT, "%-16s %s", finding.label(), finding.text())));
    }
    return ExitCode.OK.code();
  }

  private List<Finding> findings() throws IOException {
    List<Finding> findings = new ArrayList<>();
    findings.add(text("smelt", "Smelt", Version.text()));
    String java = System.getProperty("java.vm.name") + " " + System.getProperty("java.vm.version");
    findings.add(text("java", "Java", java));
    findings.add(text("java_home", "Java home", System.getProperty("java.home")));
    findings.add(text("os", "System", property("os.name") + " " + property("os.arch")));
    boolean vector = ModuleLayer.boot().findModule(VECTOR_MODULE).isPresent();
    findings.add(
        new Finding(
            "vector_module",
            "Vector module",
            vector,
            vector ? "present" : "absent: start with --add-modules " + VECTOR_MODULE));
    findings.add(text("kernels", "Kernels", kernels.get().name()));
    int processors = Runtime.getRuntime().availableProcessors();
    findings.add(new Finding("processors", "Processors", processors, processors + " usable"));
    findings.add(size("memory_total", "Memory", machine().getTotalMemorySize(), " in all"));
    findings.add(size("memory_free", "", machine().getFreeMemorySize(), " unused"));
    findings.add(size("heap_limit", "Java heap", Runtime.getRuntime().maxMemory(), " at most"));
    CudaState gpu = CudaProbe.probe();
    findings.add(
        new Finding("cuda_driver", "GPU", !(gpu instanceof CudaState.NoDriver), gpu.text()));
    if (gpu instanceof CudaState.Ready ready) {
      findings.add(size("gpu_memory_total", "GPU memory", ready.totalBytes(), " in all"));
      findings.add(size("gpu_memory_free", "", ready.freeBytes(), " free"));
    }
    Path here = Path.of("").toAbsolutePath();
    long free = Files.getFileStore(here).getUsableSpace();
    findings.add(size("disk_free", "Disk", free, " free in " + here));
    return findings;
  }

  private static com.sun.management.OperatingSystemMXBean machine() {
    return ManagementFactory.getPlatformMXBean(com.sun.management.OperatingSystemMXBean.class);
  }

  private static Finding text(String key, String label, String value) {
    return new Finding(key, label, value, value);
  }

  private static Finding size(String key, String label, long bytes, String suffix) {
    return new Finding(key, label, bytes, ByteSize.format(bytes) + suffix);
  }

  private static String property(String key) {
    return System.getProperty(key);
  }
}
