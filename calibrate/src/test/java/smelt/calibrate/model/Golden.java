package smelt.calibrate.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import smelt.formats.Checkout;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// What an independent implementation computed for the sample models.
record Golden(Path folder) {

  static Golden tinyDeepSeek() {
    return new Golden(Checkout.golden("tiny-deepseek-v3"));
  }

  JsonNode json(String name) throws IOException {
    return JsonMapper.builder().build().readTree(Files.readAllBytes(folder.resolve(name)));
  }

  Npy array(String name) throws IOException {
    return Npy.read(folder.resolve(name));
  }

  List<int[]> sequences() throws IOException {
    List<int[]> sequences = new ArrayList<>();
    for (JsonNode sequence : json("sequences.json")) {
      sequences.add(sequence.path("ids").valueStream().mapToInt(JsonNode::intValue).toArray());
    }
    return sequences;
  }
}
