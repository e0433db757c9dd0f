package smelt.converter.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.converter.SampleModel;
import smelt.formats.Checkout;
import smelt.formats.gguf.GgmlType;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// An independent engine computes from the files of small models with planted weights what the
/// published definition of their architecture says in FP64.
class PlantedAgreementTest {

  private static final int VOCABULARY = 48;
  private static final JsonMapper JSON = JsonMapper.builder().build();

  @TempDir Path folder;

  /// `llama` has stretched frequencies and a head that is the embedding, `qwen2` biases, `mixtral`
  /// experts; `qwen3moe` has them in every layer, and norms of heads; a `deepseek2` without a query
  /// rank has 26 layers. The engine keeps keys and values in F16. Over 26 layers such rounding,
  /// made by hand, moves the sum by up to 1.4e-3; of the faults that are known for that model the
  /// least, four experts for three, moves it by 4.5e-3.
  @ParameterizedTest
  @CsvSource({
    "llama, 2e-4",
    "qwen2, 2e-4",
    "mixtral, 2e-4",
    "qwen3-moe-every-layer, 2e-4",
    "deepseek-v2-lite-26, 2e-3"
  })
  void scoresTokensAsTheDefinitionDoes(String name, double limit)
      throws IOException, InterruptedException {
    LlamaClient llama = LlamaClient.install();
    Path planted = Checkout.root().resolve("calibrate/src/test/resources/models/" + name);
    Path model = Files.createDirectory(folder.resolve(name));
    for (String file : List.of("config.json", "model.safetensors")) {
      Files.copy(planted.resolve("model").resolve(file), model.resolve(file));
    }
    Files.writeString(model.resolve("tokenizer.json"), tokenizer());
    Path gguf = folder.resolve(name + ".gguf");
    Exported.of(model, GgmlType.F32, gguf);
    Expected expected = Expected.read(planted.resolve("expected.safetensors"));
    double sum = llama.score(gguf, List.of(expected.tokens()))[0];
    System.out.printf(
        Locale.ROOT, "%s: sum of -ln p %.6f by llama.cpp, %.6f%n", name, sum, expected.sum());
    assertThat(sum / expected.sum()).isCloseTo(1, within(limit));
  }

  /// The engine's client wants a tokenizer to be there; its letters mean nothing.
  private static String tokenizer() throws IOException {
    Path sample = SampleModel.path(SampleModel.BF16).resolve("tokenizer.json");
    ObjectNode tree = (ObjectNode) JSON.readTree(Files.readAllBytes(sample));
    ObjectNode bpe = (ObjectNode) tree.path("model");
    ObjectNode vocabulary = bpe.putObject("vocab");
    for (int id = 0; id < VOCABULARY; id++) {
      vocabulary.put(String.valueOf((char) ('K' + id)), id);
    }
    bpe.putArray("merges");
    tree.putArray("added_tokens");
    return tree.toString();
  }

  /// Tokens, and the sum of -ln p of all but the first.
  private record Expected(List<Integer> tokens, double sum) {

    static Expected read(Path file) throws IOException {
      ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
      int start = Math.toIntExact(bytes.getLong(0)) + Long.BYTES;
      JsonNode header = JSON.readTree(bytes.array(), Long.BYTES, start - Long.BYTES);
      int ids = start + header.path("tokens.0").path("data_offsets").path(0).intValue();
      int logits = start + header.path("logits.0").path("data_offsets").path(0).intValue();
      int count = header.path("tokens.0").path("shape").path(0).intValue();
      List<Integer> tokens = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        tokens.add(Math.toIntExact(bytes.getLong(ids + i * Long.BYTES)));
      }
      double sum = 0;
      for (int i = 0; i + 1 < count; i++) {
        double total = 0;
        int row = logits + i * VOCABULARY * Double.BYTES;
        for (int id = 0; id < VOCABULARY; id++) {
          total += Math.exp(bytes.getDouble(row + id * Double.BYTES));
        }
        sum += Math.log(total) - bytes.getDouble(row + tokens.get(i + 1) * Double.BYTES);
      }
      return new Expected(tokens, sum);
    }
  }
}
