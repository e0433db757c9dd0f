package smelt.converter.deploy;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import smelt.converter.deploy.Ledger.Line;
import smelt.converter.deploy.Ledger.Place;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.TensorRole.RoutedExpert;

/// The `deploy/` folder of a target whose experts are served from the CPU: how to launch the
/// runtime, and a ledger of what lies where.
///
/// @param name of the model, as its folder is called
/// @param cpu the target itself
/// @param gpu where the rest of the model is read from; the same as `cpu` where one folder holds
///   all
/// @param layers of the model, without those of multi-token prediction
/// @param cacheBytes what a token takes in the key-value cache, in BF16
public record Deployment(
    String name, Serving serving, Half cpu, Half gpu, int layers, long cacheBytes) {

  /// Experts of each layer that `launch.sh` puts on the GPU: the runtime asks for a number.
  static final int GPU_EXPERTS = 1;

  /// Tokens that `launch.sh` makes room for.
  static final int CONTEXT = 40_000;

  private static final Pattern NODE = Pattern.compile("\\.numa\\.(\\d+)\\.");

  /// The files, by their names within the target's folder.
  public SortedMap<String, byte[]> files() {
    SortedMap<String, byte[]> files = new TreeMap<>();
    Ledger ledger = ledger();
    files.put("deploy/launch.sh", bytes(LaunchScript.of(this)));
    files.put("deploy/ledger.json", bytes(LedgerJson.of(this, ledger)));
    files.put("deploy/README.md", bytes(DeployReadme.of(this, ledger)));
    return files;
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  /// What lies where.
  public Ledger ledger() {
    return switch (serving) {
      case Serving.KTransformers runtime -> runtime.shared() ? shared(runtime) : twoFolders();
      case Serving.LlamaCpp _ -> oneFile();
    };
  }

  private Ledger twoFolders() {
    List<Line> lines = new ArrayList<>();
    for (Half.Stored tensor : gpu.tensors()) {
      lines.add(ofCheckpoint(tensor));
    }
    for (Half.Stored tensor : cpu.tensors()) {
      Matcher node = NODE.matcher(tensor.tensor());
      if (!node.find()) {
        throw new IllegalStateException(tensor.tensor() + " is no slice of an expert");
      }
      Place place = new Place.Node(Integer.parseInt(node.group(1)));
      lines.add(new Line(place, "routed experts", tensor.bytes()));
    }
    return new Ledger(Ledger.merged(lines), List.of());
  }

  /// A tensor of a checkpoint of which the CPU's half takes no experts.
  private Line ofCheckpoint(Half.Stored tensor) {
    Optional<RoutedExpert> expert = expert(tensor);
    if (expert.isPresent()) {
      return expert.get().expert() < GPU_EXPERTS
          ? new Line(new Place.Gpu(), GPU_EXPERTS + " routed expert of each layer", tensor.bytes())
          : new Line(new Place.Disk(), "the other routed experts", tensor.bytes());
    }
    String what = what(tensor);
    boolean mtp = what.equals(Ledger.MTP);
    return new Line(mtp ? new Place.Disk() : new Place.Gpu(), what, tensor.bytes());
  }

  private Ledger shared(Serving.KTransformers runtime) {
    List<Line> lines = new ArrayList<>();
    List<Line> copies = new ArrayList<>();
    for (Half.Stored tensor : cpu.tensors()) {
      Optional<RoutedExpert> expert = expert(tensor);
      if (expert.isEmpty()) {
        lines.add(ofCheckpoint(tensor));
        continue;
      }
      long part = tensor.bytes() / runtime.nodes();
      for (int node = 0; node < runtime.nodes(); node++) {
        long rest = node == 0 ? tensor.bytes() - part * runtime.nodes() : 0;
        lines.add(new Line(new Place.Node(node), "routed experts", part + rest));
      }
      if (expert.get().expert() < GPU_EXPERTS) {
        copies.add(
            new Line(
                new Place.Gpu(),
                "a copy of " + GPU_EXPERTS + " routed expert of each layer",
                tensor.bytes()));
      }
    }
    return new Ledger(Ledger.merged(lines), Ledger.merged(copies));
  }

  private Ledger oneFile() {
    List<Line> lines = new ArrayList<>();
    for (Half.Stored tensor : cpu.tensors()) {
      boolean expert = expert(tensor).isPresent();
      lines.add(
          new Line(expert ? new Place.Dram() : new Place.Gpu(), what(tensor), tensor.bytes()));
    }
    return new Ledger(Ledger.merged(lines), List.of());
  }

  private Optional<RoutedExpert> expert(Half.Stored tensor) {
    TensorRole role = tensor.role().orElse(null);
    return role instanceof RoutedExpert expert && expert.layerIndex() < layers
        ? Optional.of(expert)
        : Optional.empty();
  }

  private String what(Half.Stored tensor) {
    return tensor.role().map(role -> Ledger.what(role, layers)).orElse("tables");
  }
}
