package smelt.converter.run;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import smelt.converter.OutputConflictException;
import smelt.converter.plan.Manifest;
import smelt.converter.plan.Plan;
import smelt.converter.plan.PlanJson;
import smelt.converter.plan.TargetPlan;
import smelt.formats.files.AtomicFile;

/// The folder that a conversion writes, and what of it is already there.
///
/// While a run is unfinished the folder holds `.smelt/`: the lock, the digest of the plan, and a
/// receipt for each finished unit. [#publish] writes config, index and side files, the manifest of
/// each target last, and removes `.smelt/`: before that no loader finds a model here.
public final class OutputFolder implements AutoCloseable {

  private static final String WORK = ".smelt";
  private static final String PLAN_DIGEST = "plan.sha256";

  private final Path path;
  private final Plan plan;
  private final String planDigest;
  private final FolderLock lock;
  private final Map<Integer, Receipt> receipts = new ConcurrentHashMap<>();
  private final boolean complete;

  private OutputFolder(Path path, Plan plan, String planDigest, FolderLock lock)
      throws IOException {
    this.path = path;
    this.plan = plan;
    this.planDigest = planDigest;
    this.lock = lock;
    this.complete = isComplete(path, plan, planDigest);
    if (!complete) {
      begin();
    }
  }

  /// Opens the folder for this plan and keeps other runs out until it is closed.
  ///
  /// @throws OutputConflictException if another run is at work there, or it holds another plan's
  ///   output, or files that are not ours
  public static OutputFolder open(Path path, Plan plan) throws IOException {
    String digest = PlanJson.digest(plan);
    refuseStrangers(path, plan);
    FolderLock lock = FolderLock.take(path.resolve(WORK).resolve("lock"));
    try {
      return new OutputFolder(path, plan, digest, lock);
    } catch (IOException | RuntimeException e) {
      lock.close();
      throw e;
    }
  }

  /// Looks before anything is created: a folder without a sign of Smelt must be empty.
  private static void refuseStrangers(Path path, Plan plan) throws IOException {
    if (!Files.exists(path)) {
      return;
    }
    if (!Files.isDirectory(path)) {
      throw new OutputConflictException(
          path.toString(), "a file", "a folder, or nothing", "choose another output");
    }
    boolean ours =
        Files.isDirectory(path.resolve(WORK))
            || plan.targets().stream()
                .anyMatch(t -> Files.exists(path.resolve(t.folder()).resolve(TargetPlan.MANIFEST)));
    try (Stream<Path> entries = Files.list(path)) {
      Optional<Path> first = entries.sorted().findFirst();
      if (first.isPresent() && !ours) {
        throw new OutputConflictException(
            path.toString(),
            "files that are not of a conversion, such as " + first.get().getFileName(),
            "an empty folder, or an unfinished conversion with the same plan",
            "choose another output, or empty this one yourself");
      }
    }
  }

  private static boolean isComplete(Path path, Plan plan, String planDigest) throws IOException {
    int manifests = 0;
    for (TargetPlan target : plan.targets()) {
      Path folder = path.resolve(target.folder());
      Path manifest = folder.resolve(TargetPlan.MANIFEST);
      if (Files.exists(manifest)) {
        refuseOtherManifest(manifest, planDigest);
        manifests++;
      }
    }
    return manifests == plan.targets().size() && hasAllFiles(path, plan);
  }

  private static void refuseOtherManifest(Path manifest, String planDigest) throws IOException {
    String wanted = "\n\"plan\": \"" + planDigest + "\",\n";
    try (Stream<String> lines = Files.lines(manifest, StandardCharsets.UTF_8)) {
      if (lines.limit(10).noneMatch(line -> ("\n" + line + "\n").equals(wanted))) {
        throw otherPlan(manifest.getParent());
      }
    } catch (java.io.UncheckedIOException e) {
      throw otherPlan(manifest.getParent());
    }
  }

  private static OutputConflictException otherPlan(Path folder) {
    return new OutputConflictException(
        folder.toString(),
        "the output of another plan (other source, recipe or version of Smelt)",
        "an empty folder, or the output of this plan",
        "choose another output, or remove this one yourself");
  }

  private static boolean hasAllFiles(Path path, Plan plan) throws IOException {
    for (TargetPlan target : plan.targets()) {
      Path folder = path.resolve(target.folder());
      for (TargetPlan.Shard shard : target.shards()) {
        if (!hasSize(folder.resolve(shard.name()), shard.layout().fileSize())) {
          return false;
        }
      }
      for (TargetPlan.SmallFile file : target.smallFiles()) {
        if (!hasSize(folder.resolve(file.name()), file.bytes().length)) {
          return false;
        }
      }
    }
    return true;
  }

  private static boolean hasSize(Path file, long size) throws IOException {
    return Files.isRegularFile(file) && Files.size(file) == size;
  }

  private void begin() throws IOException {
    Path digestFile = path.resolve(WORK).resolve(PLAN_DIGEST);
    if (Files.exists(digestFile)) {
      if (!Files.readString(digestFile).strip().equals(planDigest)) {
        throw otherPlan(path);
      }
    } else {
      AtomicFile.writeWhole(digestFile, (planDigest + "\n").getBytes(StandardCharsets.UTF_8));
    }
    Files.createDirectories(receiptFolder());
    for (Path folder : targetFolders()) {
      Files.createDirectories(folder);
      Files.deleteIfExists(folder.resolve(TargetPlan.MANIFEST));
      removeParts(folder);
    }
    for (int u = 0; u < plan.units().size(); u++) {
      Optional<Receipt> receipt =
          Receipt.read(receiptFolder(), planDigest, plan.units().get(u).number());
      if (receipt.isPresent() && isProven(receipt.get())) {
        receipts.put(u, receipt.get());
      }
    }
  }

  /// What a killed run left of unfinished files.
  private static void removeParts(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.filter(f -> f.getFileName().toString().endsWith(".part")).toList()) {
        Files.delete(file);
      }
    }
  }

  private boolean isProven(Receipt receipt) throws IOException {
    if (receipt.shards().size() != plan.targets().size()) {
      return false;
    }
    for (Receipt.ShardDigest shard : receipt.shards()) {
      Path folder = targetFolders().get(shard.target());
      if (!hasSize(folder.resolve(shard.name()), shard.bytes())) {
        return false;
      }
    }
    return true;
  }

  private Path receiptFolder() {
    return path.resolve(WORK).resolve("receipts");
  }

  public Path path() {
    return path;
  }

  public String planDigest() {
    return planDigest;
  }

  /// Whether the folder already holds this plan's whole output.
  public boolean isComplete() {
    return complete;
  }

  /// Whether a unit needs no work.
  ///
  /// @param unit index of the unit in the plan
  public boolean isDone(int unit) {
    return complete || receipts.containsKey(unit);
  }

  /// The targets' folders, in the plan's order.
  List<Path> targetFolders() {
    return plan.targets().stream().map(t -> path.resolve(t.folder())).toList();
  }

  /// Bytes that are still to be written.
  public long bytesToWrite() {
    if (complete) {
      return 0;
    }
    long bytes = plan.outputBytes();
    for (Receipt receipt : receipts.values()) {
      for (Receipt.ShardDigest shard : receipt.shards()) {
        bytes -= shard.bytes();
      }
    }
    return bytes;
  }

  /// Notes that a unit's shards are on disk.
  void finish(Receipt receipt) throws IOException {
    receipt.write(receiptFolder());
    receipts.put(receipt.unit() - 1, receipt);
  }

  /// Turns the finished shards into models: side files, config, index, then the manifests.
  public void publish() throws IOException {
    if (!complete) {
      for (int u = 0; u < plan.units().size(); u++) {
        if (!receipts.containsKey(u)) {
          throw new IllegalStateException(
              "unit " + plan.units().get(u).number() + " has no receipt");
        }
      }
      List<Path> folders = targetFolders();
      for (int t = 0; t < folders.size(); t++) {
        publish(t, folders.get(t));
      }
    }
    removeWorkFolder();
  }

  private void publish(int target, Path folder) throws IOException {
    TargetPlan targetPlan = plan.targets().get(target);
    Map<String, String> sha256 = new TreeMap<>();
    Map<String, String> crc32c = new TreeMap<>();
    for (Receipt receipt : receipts.values()) {
      for (Receipt.ShardDigest shard : receipt.shards()) {
        if (shard.target() == target) {
          sha256.put(shard.name(), shard.sha256());
          crc32c.putAll(shard.crc32c());
        }
      }
    }
    refuseStrays(folder, targetPlan);
    for (TargetPlan.SmallFile file : targetPlan.smallFiles().reversed()) {
      AtomicFile.writeWhole(folder.resolve(file.name()), file.bytes());
      sha256.put(file.name(), HexFormat.of().formatHex(sha256().digest(file.bytes())));
    }
    ByteArrayOutputStream manifest =
        new ByteArrayOutputStream(Math.toIntExact(targetPlan.manifestBytes()));
    Manifest.write(plan, planDigest, targetPlan, new Manifest.Digests(sha256, crc32c), manifest);
    AtomicFile.writeWhole(folder.resolve(TargetPlan.MANIFEST), manifest.toByteArray());
  }

  /// A file that the plan does not know would become part of the model.
  private static void refuseStrays(Path folder, TargetPlan target) throws IOException {
    Set<String> known = new HashSet<>(Set.of(WORK, TargetPlan.MANIFEST));
    target.shards().forEach(shard -> known.add(shard.name()));
    target.smallFiles().forEach(file -> known.add(file.name()));
    List<String> strays = new ArrayList<>();
    try (Stream<Path> files = Files.list(folder)) {
      files
          .map(f -> f.getFileName().toString())
          .filter(n -> !known.contains(n))
          .forEach(strays::add);
    }
    if (!strays.isEmpty()) {
      strays.sort(Comparator.naturalOrder());
      throw new OutputConflictException(
          folder.toString(),
          "files that are not of this conversion: " + String.join(", ", strays),
          "only what the plan names",
          "move them away and run the same command again");
    }
  }

  private void removeWorkFolder() throws IOException {
    Path work = path.resolve(WORK);
    try (Stream<Path> files = Files.walk(work)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
    AtomicFile.forceFolder(path);
  }

  @Override
  public void close() throws IOException {
    lock.close();
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has SHA-256", e);
    }
  }
}
