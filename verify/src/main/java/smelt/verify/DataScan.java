package smelt.verify;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.files.Sha256;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// Reads all data once, in chunks, and remembers only digests and what is wrong.
///
/// With a manifest a file is one piece of work, because its digest runs from the first byte to the
/// last; without one, large files are cut between tensors. Memory is one chunk for each thread.
final class DataScan {

  private static final int CHUNK = 4 << 20;
  private static final long RUN = 256L << 20;

  /// @param anomalies sorted by tensor name
  /// @param sha256 of whole files; only of those that a manifest lists
  /// @param crc32c of tensors; only with a manifest
  record Result(
      List<Anomaly> anomalies,
      Map<String, String> sha256,
      Map<String, Integer> crc32c,
      long bytesRead) {}

  /// Bytes of a file from `begin` to `end`, and the tensors in them by offset.
  private record Run(
      String file, long begin, long end, List<SourceTensor> tensors, boolean digests) {}

  private record RunResult(
      List<Anomaly> anomalies,
      Optional<String> sha256,
      Map<String, Integer> crc32c,
      long bytesRead) {}

  private DataScan() {}

  static Result run(Facts facts, int threads) throws IOException {
    List<Run> runs = facts.manifest().value().isPresent() ? wholeFiles(facts) : cut(facts);
    List<Future<RunResult>> futures = new ArrayList<>();
    try (ExecutorService pool = Executors.newFixedThreadPool(threads)) {
      runs.forEach(run -> futures.add(pool.submit(() -> scan(facts.source(), run))));
      return join(runs, futures);
    }
  }

  private static Result join(List<Run> runs, List<Future<RunResult>> futures) throws IOException {
    List<Anomaly> anomalies = new ArrayList<>();
    Map<String, String> sha256 = new HashMap<>();
    Map<String, Integer> crc32c = new HashMap<>();
    long bytes = 0;
    for (int i = 0; i < runs.size(); i++) {
      RunResult result = get(futures.get(i));
      anomalies.addAll(result.anomalies());
      crc32c.putAll(result.crc32c());
      bytes += result.bytesRead();
      if (result.sha256().isPresent()) {
        sha256.put(runs.get(i).file(), result.sha256().get());
      }
    }
    anomalies.sort(
        Comparator.comparing((Anomaly a) -> a.tensor().name()).thenComparing(Anomaly::kind));
    return new Result(List.copyOf(anomalies), sha256, crc32c, bytes);
  }

  private static RunResult get(Future<RunResult> future) throws IOException {
    try {
      return future.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while reading", e);
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case IOException io -> throw io;
        case RuntimeException runtime -> throw runtime;
        case Error error -> throw error;
        case null, default -> throw new IllegalStateException(e);
      }
    }
  }

  private static List<Run> wholeFiles(Facts facts) throws IOException {
    Map<String, List<SourceTensor>> tensors = new HashMap<>();
    facts.shards().forEach(shard -> tensors.put(shard.file(), shard.tensors()));
    Set<String> files = new HashSet<>(tensors.keySet());
    facts.manifest().value().orElseThrow().files().forEach(file -> files.add(file.name()));
    files.retainAll(new HashSet<>(facts.source().names()));
    List<Run> runs = new ArrayList<>();
    for (String file : files.stream().sorted().toList()) {
      try (ByteSource bytes = facts.source().open(file)) {
        runs.add(new Run(file, 0, bytes.size(), tensors.getOrDefault(file, List.of()), true));
      }
    }
    return runs;
  }

  private static List<Run> cut(Facts facts) {
    List<Run> runs = new ArrayList<>();
    for (Shard shard : facts.shards()) {
      List<SourceTensor> tensors = shard.tensors();
      int first = 0;
      for (int i = 0; i < tensors.size(); i++) {
        SourceTensor last = tensors.get(i);
        long begin = tensors.get(first).offset();
        long end = last.offset() + last.bytes();
        if (end - begin >= RUN || i == tensors.size() - 1) {
          runs.add(new Run(shard.file(), begin, end, tensors.subList(first, i + 1), false));
          first = i + 1;
        }
      }
    }
    return runs;
  }

  private static RunResult scan(ModelSource source, Run run) throws IOException {
    List<TensorScan> scans =
        run.tensors().stream().map(tensor -> new TensorScan(tensor, run.digests())).toList();
    MessageDigest digest = Sha256.start();
    try (Arena arena = Arena.ofConfined();
        ByteSource file = source.open(run.file())) {
      MemorySegment buffer = arena.allocate(CHUNK, 8);
      long at = run.begin();
      int current = 0;
      while (at < run.end()) {
        MemorySegment chunk = buffer.asSlice(0, Math.min(CHUNK, run.end() - at));
        file.read(at, chunk);
        long used = chunk.byteSize();
        while (current < scans.size() && scans.get(current).begin() < at + used) {
          TensorScan scan = scans.get(current);
          long whole = scan.wholeElements(at, at + used);
          scan.accept(chunk, at, whole);
          if (whole < scan.end()) {
            used = Math.min(used, whole - at);
            break;
          }
          current++;
        }
        if (run.digests()) {
          digest.update(chunk.asSlice(0, used).asByteBuffer());
        }
        at += used;
      }
      file.checkUnchanged();
    }
    return result(run, scans, digest);
  }

  private static RunResult result(Run run, List<TensorScan> scans, MessageDigest digest) {
    List<Anomaly> anomalies = new ArrayList<>();
    Map<String, Integer> crcs = new HashMap<>();
    for (TensorScan scan : scans) {
      anomalies.addAll(scan.anomalies());
      if (run.digests()) {
        crcs.put(scan.tensor().name(), scan.crc32c());
      }
    }
    Optional<String> sha256 = run.digests() ? Optional.of(Sha256.hex(digest)) : Optional.empty();
    return new RunResult(anomalies, sha256, crcs, run.end() - run.begin());
  }
}
