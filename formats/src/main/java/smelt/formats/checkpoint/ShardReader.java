package smelt.formats.checkpoint;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import smelt.formats.BadInputException;
import smelt.formats.Problem;
import smelt.formats.files.Sha256;
import smelt.formats.safetensors.SafetensorsHeader;
import smelt.formats.safetensors.TensorEntry;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// Reads the headers of many shards in the background, several at a time.
final class ShardReader implements AutoCloseable {

  private static final int THREADS = 8;

  /// What one shard's header says.
  record Content(Shard shard, List<SourceTensor> tensors) {}

  private final ModelSource source;
  private final ExecutorService threads = Executors.newFixedThreadPool(THREADS);
  private final Map<String, Future<Content>> pending = new HashMap<>();

  ShardReader(ModelSource source) {
    this.source = source;
  }

  /// Begins to read the headers of `files`, if it has not begun before.
  void start(List<String> files) {
    for (String file : files) {
      pending.computeIfAbsent(file, f -> threads.submit(() -> read(source, f)));
    }
  }

  /// The headers of `files`, in this order. The problems of those that are invalid are added to
  /// `problems`, and they are left out.
  List<Content> contents(List<String> files, List<Problem> problems) throws IOException {
    start(files);
    List<Content> contents = new ArrayList<>();
    for (String file : files) {
      try {
        contents.add(result(pending.get(file)));
      } catch (BadInputException e) {
        problems.addAll(e.problems());
      }
    }
    return contents;
  }

  /// Gives up what has not been read yet.
  @Override
  public void close() {
    threads.shutdownNow();
    threads.close();
  }

  private static Content result(Future<Content> pending) throws IOException {
    try {
      return pending.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted while reading headers");
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case IOException io -> throw io;
        case UncheckedIOException io -> throw io.getCause();
        case RuntimeException bug -> throw bug;
        case Error bug -> throw bug;
        default -> throw new AssertionError(e);
      }
    }
  }

  private static Content read(ModelSource source, String file) throws IOException {
    try (ByteSource bytes = source.open(file)) {
      SafetensorsHeader header = SafetensorsHeader.read(bytes);
      List<SourceTensor> tensors = new ArrayList<>(header.tensors().size());
      for (TensorEntry entry : header.tensors()) {
        tensors.add(
            new SourceTensor(
                entry.name(),
                entry.type(),
                entry.shape(),
                file,
                header.offset(entry),
                entry.bytes()));
      }
      String digest = digest(bytes, header.dataStart());
      return new Content(new Shard(file, header.fileSize(), digest, tensors.size()), tensors);
    }
  }

  private static String digest(ByteSource bytes, long length) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment header = arena.allocate(length);
      bytes.read(0, header);
      MessageDigest sha256 = Sha256.start();
      sha256.update(header.asByteBuffer());
      return Sha256.hex(sha256);
    }
  }
}
