package smelt.calibrate.observe;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.Shard;
import smelt.formats.files.Sha256;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// Tells one model from another by little reading: SHA-256 over the config, and over name, size and
/// header digest of each shard with a few samples of its bytes, which differ between models that
/// were trained on from the same one.
public final class ModelDigest {

  /// Samples of a shard, and bytes of each.
  private static final int SAMPLES = 16;

  private static final int SAMPLE_BYTES = 256;

  private static final long CONFIG_LIMIT = 16L << 20;

  private ModelDigest() {}

  /// The digest of a model.
  public static String of(Checkpoint checkpoint, ModelSource source) throws IOException {
    MessageDigest digest = Sha256.start();
    digest.update(source.readSmall(ModelConfig.FILE, CONFIG_LIMIT));
    for (Shard shard : checkpoint.shards()) {
      String line = "\n" + shard.file() + " " + shard.size() + " " + shard.headerSha256() + "\n";
      digest.update(line.getBytes(StandardCharsets.UTF_8));
      try (ByteSource file = source.open(shard.file())) {
        addSamples(digest, file);
      }
    }
    return Sha256.hex(digest);
  }

  private static void addSamples(MessageDigest digest, ByteSource file) throws IOException {
    byte[] sample = new byte[(int) Math.min(SAMPLE_BYTES, file.size())];
    for (int i = 0; i < SAMPLES; i++) {
      long at = (file.size() - sample.length) / (SAMPLES - 1) * i;
      file.read(at, MemorySegment.ofArray(sample));
      digest.update(sample);
    }
  }
}
