package smelt.converter.run;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestOutputStream;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import smelt.converter.OutputConflictException;
import smelt.converter.plan.JudgedRows;
import smelt.converter.plan.Manifest;
import smelt.converter.plan.Plan;
import smelt.converter.plan.PlanJson;
import smelt.converter.plan.TargetPlan;
import smelt.converter.plan.Unit;
import smelt.formats.files.AtomicFile;
import smelt.formats.files.Sha256;
import smelt.formats.source.ModelSource;

/// The folder that a conversion writes, and what of it is already there.
///
/// While a run is unfinished the folder holds `.smelt/`: the lock, the digest of the plan, and a
/// receipt for each finished unit. [#publish] writes config, index and side files, the manifest of
/// each target last, and removes `.smelt/`: before that no loader finds a model here.
public final class OutputFolder implements AutoCloseable {

  static final String WORK = ".smelt";

  private static final String LOCK = "lock";
  private static final String PLAN_DIGEST = "plan.sha256";

  private final Path path;
  private final Plan plan;
  private final String planDigest;
  private final FolderLock lock;
  private final Map<Integer, Receipt> receipts = new ConcurrentHashMap<>();
  private final boolean complete;

  private OutputFolder(Path path, Plan plan, ModelSource source, String planDigest, FolderLock lock)
      throws IOException {
    this.path = path;
    this.plan = plan;
    this.planDigest = planDigest;
    this.lock = lock;
    this.complete = Occupancy.isComplete(path, plan, planDigest);
    if (complete) {
      SameSource.require(source, plan, path);
    } else {
      begin(source);
    }
  }

  /// Opens the folder for this plan and keeps other runs out until it is closed.
  ///
  /// @param source the plan's; a unit whose source files were changed since is done again
  /// @throws OutputConflictException if another run is at work there, or it holds another plan's
  ///   output, or files that are not ours
  public static OutputFolder open(Path path, Plan plan, ModelSource source) throws IOException {
    String digest = PlanJson.digest(plan);
    Occupancy.refuseStrangers(path, plan);
    makeFolder(path);
    FolderLock lock = FolderLock.take(path.resolve(WORK).resolve(LOCK));
    try {
      return new OutputFolder(path, plan, source, digest, lock);
    } catch (IOException | RuntimeException e) {
      try (lock) {
        removeBareWorkFolder(path.resolve(WORK));
      }
      throw e;
    }
  }

  /// Refuses an output in which the model lies, or which lies in the model.
  public static void refuseOverlap(Path output, Path model) throws IOException {
    Occupancy.refuseOverlap(output, model);
  }

  private void begin(ModelSource source) throws IOException {
    Path digestFile = path.resolve(WORK).resolve(PLAN_DIGEST);
    if (Files.exists(digestFile) && !Files.readString(digestFile).strip().equals(planDigest)) {
      throw Occupancy.otherPlan(path);
    }
    for (TargetPlan target : plan.targets()) {
      prepare(path.resolve(target.folder()), target);
    }
    for (TargetPlan target : plan.targets()) {
      Path folder = path.resolve(target.folder());
      Files.deleteIfExists(folder.resolve(TargetPlan.MANIFEST));
      if (target.listing().isPresent()) {
        Files.deleteIfExists(folder.resolve(target.listing().get().name()));
      }
    }
    if (!Files.exists(digestFile)) {
      AtomicFile.writeWhole(digestFile, (planDigest + "\n").getBytes(StandardCharsets.UTF_8));
    }
    makeFolder(receiptFolder());
    for (int u = 0; u < plan.units().size(); u++) {
      Optional<Receipt> receipt =
          Receipt.read(receiptFolder(), planDigest, plan.units().get(u).number());
      if (receipt.isPresent() && isProven(u, receipt.get(), source)) {
        receipts.put(u, receipt.get());
      } else {
        Receipt.remove(receiptFolder(), plan.units().get(u).number());
      }
    }
  }

  /// Removes what a killed run left of unfinished files. What is left must be of the plan.
  private static void prepare(Path folder, TargetPlan target) throws IOException {
    makeFolder(folder);
    for (String name : Occupancy.names(target)) {
      AtomicFile.removePart(folder.resolve(name));
    }
    for (String root : Occupancy.trees(target)) {
      TreeFolder.prepare(folder, root, target);
    }
    Occupancy.refuseStrays(folder, target);
  }

  /// Makes a folder that outlasts a power failure.
  static void makeFolder(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      Path parent = folder.toAbsolutePath().getParent();
      makeFolder(parent);
      Files.createDirectories(folder);
      AtomicFile.forceFolder(parent);
    }
  }

  /// Whether what a receipt tells of is there, and came from the source as it is now.
  private boolean isProven(int unit, Receipt receipt, ModelSource source) throws IOException {
    if (!receipt.sources().equals(stamps(plan.units().get(unit), source))) {
      return false;
    }
    int proven = 0;
    for (int t = 0; t < plan.targets().size(); t++) {
      Optional<TargetPlan.Shard> shard = plan.targets().get(t).shard(unit);
      if (shard.isPresent()) {
        if (!isProven(t, shard.get(), receipt)) {
          return false;
        }
        proven++;
      }
    }
    return proven == receipt.shards().size();
  }

  private boolean isProven(int target, TargetPlan.Shard shard, Receipt receipt) throws IOException {
    return receipt.shards().stream()
            .anyMatch(d -> d.target() == target && d.name().equals(shard.name()))
        && Occupancy.hasAllFiles(targetFolders().get(target), shard);
  }

  /// Stamps of the source files that a unit reads, by name.
  static Map<String, String> stamps(Unit unit, ModelSource source) throws IOException {
    TreeMap<String, String> stamps = new TreeMap<>();
    for (String file : UnitRun.sourceFiles(unit)) {
      stamps.put(file, source.stamp(file));
    }
    return stamps;
  }

  private Path receiptFolder() {
    return receiptFolder(path);
  }

  private static Path receiptFolder(Path path) {
    return path.resolve(WORK).resolve("receipts");
  }

  /// Whether there is a receipt, fit or not.
  static boolean hasReceipt(Path path, Unit unit) {
    return Files.exists(Receipt.path(receiptFolder(path), unit.number()));
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

  /// Notes that a unit's shards are on disk.
  void finish(Receipt receipt) throws IOException {
    receipt.write(receiptFolder());
    receipts.put(receipt.unit() - 1, receipt);
  }

  /// Rows of a target that solvers chose, in all units that have a receipt: none where the folder
  /// was found complete.
  public JudgedRows judged(int target) {
    return receipts.values().stream()
        .map(receipt -> receipt.judged().getOrDefault(target, JudgedRows.NONE))
        .reduce(JudgedRows.NONE, JudgedRows::plus);
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
          sha256.putAll(shard.sha256());
          crc32c.putAll(shard.crc32c());
        }
      }
    }
    Occupancy.refuseStrays(folder, targetPlan);
    for (TargetPlan.SmallFile file : targetPlan.smallFiles().reversed()) {
      Path path = folder.resolve(file.name());
      makeFolder(path.getParent());
      AtomicFile.writeWhole(path, file.bytes());
      sha256.put(file.name(), Sha256.hex(file.bytes()));
    }
    if (targetPlan.listing().isPresent()) {
      TargetPlan.Listing listing = targetPlan.listing().get();
      try (AtomicFile file = AtomicFile.create(folder.resolve(listing.name()), listing.bytes());
          DigestOutputStream out = new DigestOutputStream(file.output(), Sha256.start())) {
        listing.write(sha256::get, out);
        out.flush();
        file.commit();
        sha256.put(listing.name(), Sha256.hex(out.getMessageDigest()));
      }
    }
    Path manifest = folder.resolve(TargetPlan.MANIFEST);
    try (AtomicFile file = AtomicFile.create(manifest, targetPlan.manifestBytes());
        OutputStream out = file.output()) {
      Manifest.write(
          plan, planDigest, targetPlan, new Manifest.Digests(sha256, crc32c, judged(target)), out);
      out.flush();
      file.commit();
    }
  }

  private void removeWorkFolder() throws IOException {
    Path work = path.resolve(WORK);
    try (Stream<Path> files = Files.walk(work)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        if (!file.equals(work)) {
          Files.deleteIfExists(file);
        }
      }
    }
    removeEmpty(work);
    AtomicFile.forceFolder(path);
  }

  /// A refused run must not leave its lock file in somebody else's folder.
  private static void removeBareWorkFolder(Path work) throws IOException {
    List<String> names;
    try (Stream<Path> files = Files.list(work)) {
      names = files.map(f -> f.getFileName().toString()).toList();
    }
    if (names.equals(List.of(LOCK))) {
      Files.deleteIfExists(work.resolve(LOCK));
      removeEmpty(work);
    }
  }

  /// With the lock file gone, the next run may already have put its own there.
  private static void removeEmpty(Path folder) throws IOException {
    try {
      Files.deleteIfExists(folder);
    } catch (DirectoryNotEmptyException _) {
      // the next run removes it
    }
  }

  @Override
  public void close() throws IOException {
    lock.close();
  }
}
