package smelt.calibrate.pass;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import smelt.calibrate.observe.TableIndex;
import smelt.formats.files.AtomicFile;
import smelt.formats.files.Sha256;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;

/// Says that a layer's files lie on disk, and behind them the hidden states that the next layer
/// reads. A layer has a receipt or is done again.
///
/// The file is JSON after a line with its SHA-256 in hex.
///
/// @param work digest of all that the table is made of, and of the stamps of the model's files
/// @param coverage of a layer with experts
record LayerReceipt(
    String work,
    int layer,
    List<TableIndex.FileEntry> files,
    Optional<TableIndex.LayerCoverage> coverage) {

  private static final JsonMapper MAPPER = JsonMapper.builder().build();
  private static final int DIGEST_LINE = 65;

  LayerReceipt {
    files = List.copyOf(files);
  }

  private static Path path(Path folder, int layer) {
    return folder.resolve(String.format(Locale.ROOT, "layer-%05d.json", layer));
  }

  void write(Path folder) throws IOException {
    byte[] json = MAPPER.writeValueAsBytes(this);
    ByteArrayOutputStream file = new ByteArrayOutputStream();
    file.writeBytes(digestLine(json));
    file.writeBytes(json);
    AtomicFile.writeWhole(path(folder, layer), file.toByteArray());
  }

  /// The receipt of a layer, if there is an intact one for this work.
  static Optional<LayerReceipt> read(Path folder, String work, int layer) throws IOException {
    Path path = path(folder, layer);
    if (!Files.isRegularFile(path)) {
      return Optional.empty();
    }
    byte[] file = Files.readAllBytes(path);
    byte[] json = Arrays.copyOfRange(file, Math.min(DIGEST_LINE, file.length), file.length);
    if (!Arrays.equals(digestLine(json), 0, DIGEST_LINE, file, 0, file.length - json.length)) {
      return Optional.empty();
    }
    try {
      LayerReceipt receipt = MAPPER.readValue(json, LayerReceipt.class);
      return Optional.of(receipt).filter(r -> r.work.equals(work) && r.layer == layer);
    } catch (JacksonException _) {
      return Optional.empty();
    }
  }

  private static byte[] digestLine(byte[] json) {
    return (Sha256.hex(json) + "\n").getBytes(StandardCharsets.US_ASCII);
  }
}
