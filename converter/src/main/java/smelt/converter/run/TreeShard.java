package smelt.converter.run;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.zip.CRC32C;
import smelt.converter.plan.ShardLayout;
import smelt.converter.plan.ShardLayout.Tree.Leaf;
import smelt.converter.plan.TargetPlan;
import smelt.formats.files.AtomicFolder;
import smelt.formats.files.Crc32c;
import smelt.formats.files.Sha256;
import smelt.formats.files.Thorough;

/// Whole folders of a tree in which every tensor is a file. Each folder directly below the root
/// appears at once, with all its files, when the shard is sealed.
final class TreeShard implements ShardWriter {

  private final TargetPlan.Shard shard;
  private final ShardLayout.Tree tree;
  private final Path root;
  private final Map<String, AtomicFolder> folders;
  private final ForceBehind behind;
  private final Map<String, Integer> checksums = new ConcurrentHashMap<>();

  private TreeShard(
      TargetPlan.Shard shard,
      ShardLayout.Tree tree,
      Path root,
      Map<String, AtomicFolder> folders,
      DiskForcer disk) {
    this.shard = shard;
    this.tree = tree;
    this.root = root;
    this.folders = folders;
    this.behind = new ForceBehind(disk, this::force, root);
  }

  /// @param folder the target's, in which the tree's root must exist
  static TreeShard create(
      Path folder, TargetPlan.Shard shard, ShardLayout.Tree tree, DiskForcer disk)
      throws IOException {
    Path root = folder.resolve(shard.name());
    Map<String, AtomicFolder> folders = new TreeMap<>();
    TreeShard writer = new TreeShard(shard, tree, root, folders, disk);
    try {
      for (String name : tree.folders()) {
        folders.put(name, AtomicFolder.create(root.resolve(name)));
      }
    } catch (IOException e) {
      writer.close();
      throw e;
    }
    return writer;
  }

  /// @throws IllegalArgumentException unless the bytes are the whole tensor
  @Override
  public void write(String tensor, long offset, MemorySegment bytes) throws IOException {
    Leaf leaf = tree.leaf(tensor);
    ShardLayout.Part part = leaf.part();
    if (offset != 0 || bytes.byteSize() != part.bytes()) {
      throw new IllegalArgumentException(
          tensor + ": " + bytes.byteSize() + " bytes at " + offset + " of " + part.bytes());
    }
    folders.get(leaf.folder()).write(leaf.inFolder(), bytes);
    checksums.put(tensor, Crc32c.of(bytes));
    behind.wrote(bytes.byteSize());
  }

  private void force() throws IOException {
    for (AtomicFolder folder : folders.values()) {
      folder.force();
    }
  }

  @Override
  public Receipt.ShardDigest seal(int target) throws IOException {
    behind.await();
    force();
    Map<String, String> sha256 = new TreeMap<>();
    Map<String, String> crc32c = new TreeMap<>();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(MemoryPlan.SEAL_BYTES);
      for (Leaf leaf : tree.tensors().values()) {
        String name = leaf.part().name();
        Integer written = checksums.get(name);
        if (written == null) {
          throw new IllegalStateException(root + ": nothing was written of " + name);
        }
        String expected = Crc32c.hex(written);
        sha256.put(shard.name() + "/" + leaf.path(), readBack(leaf, expected, buffer));
        crc32c.put(name, expected);
      }
    }
    for (AtomicFolder folder : folders.values()) {
      folder.commit();
    }
    return new Receipt.ShardDigest(target, shard.name(), tree.fileSize(), sha256, crc32c);
  }

  /// The SHA-256 of a file whose checksum is as expected.
  private String readBack(Leaf leaf, String expected, MemorySegment buffer) throws IOException {
    MessageDigest sha256 = Sha256.start();
    CRC32C crc = new CRC32C();
    ByteBuffer chunk = buffer.asByteBuffer();
    long bytes = 0;
    try (FileChannel file = folders.get(leaf.folder()).open(leaf.inFolder())) {
      while (file.read(chunk.clear()) >= 0) {
        chunk.flip();
        bytes += chunk.remaining();
        sha256.update(chunk.duplicate());
        crc.update(chunk);
      }
    }
    String found = Crc32c.hex((int) crc.getValue());
    if (bytes != leaf.part().bytes() || !found.equals(expected)) {
      throw ShardWriter.unequal(root.resolve(leaf.path()), leaf.part().name(), found, expected);
    }
    return Sha256.hex(sha256);
  }

  @Override
  public void close() throws IOException {
    Thorough.forEach(folders.values(), AtomicFolder::close);
  }
}
