package smelt.converter.deploy;

import java.util.List;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// `ledger.json`: what lies where, for a program. Keys are sorted.
final class LedgerJson {

  private static final JsonMapper MAPPER =
      JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

  private LedgerJson() {}

  static String of(Deployment deployment, Ledger ledger) {
    ObjectNode json = MAPPER.createObjectNode();
    lines(json.putArray("copies"), ledger.copies());
    json.put("key_value_cache_bytes_per_token", deployment.cacheBytes());
    lines(json.putArray("lines"), ledger.lines());
    ObjectNode places = json.putObject("places");
    ledger.places().forEach(places::put);
    json.put("schema", "smelt-ledger/1");
    json.put("tensor_bytes", ledger.total());
    return MAPPER.writeValueAsString(json).replace("\r\n", "\n") + "\n";
  }

  private static void lines(ArrayNode array, List<Ledger.Line> lines) {
    for (Ledger.Line line : lines) {
      ObjectNode json = array.addObject();
      json.put("bytes", line.bytes());
      json.put("place", line.place().label());
      json.put("what", line.what());
    }
  }
}
