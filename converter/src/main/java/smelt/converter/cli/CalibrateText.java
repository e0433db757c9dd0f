package smelt.converter.cli;

import java.util.Locale;
import java.util.OptionalLong;
import smelt.calibrate.observe.CalibrationTable;
import smelt.calibrate.observe.TableIndex;
import smelt.calibrate.pass.CalibratePlan;
import smelt.calibrate.pass.Calibration;
import smelt.converter.ByteSize;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// What `smelt calibrate` answers, as text or JSON.
record CalibrateText(Terminal terminal, JsonOption json, CalibratePlan plan) {

  /// The plan alone.
  void showPlan() {
    if (json.wanted()) {
      json.answer(terminal, planJson());
      return;
    }
    answer("tokens   %,d, at least %,d at once", plan.tokens(), plan.atOnce());
    answer(
        "reads    %,d bytes (%s) at most, each weight once",
        plan.weightBytes(), ByteSize.format(plan.weightBytes()));
    answer(
        "memory   at most %,d bytes (%s) with %d threads",
        plan.peak(), ByteSize.format(plan.peak()), plan.threads());
    plan.parts().forEach((part, bytes) -> answer("  %-12s %,17d", part, bytes));
    answer(
        "disk     at most %,d bytes (%s) for the table, %,d (%s) for hidden states meanwhile",
        plan.tableBytes(),
        ByteSize.format(plan.tableBytes()),
        plan.workBytes(),
        ByteSize.format(plan.workBytes()));
  }

  private ObjectNode planJson() {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("disk_table", plan.tableBytes());
    node.put("disk_work", plan.workBytes());
    node.put("memory_planned", plan.peak());
    ObjectNode parts = node.putObject("memory_parts");
    plan.parts().forEach((part, bytes) -> parts.put(part, bytes));
    node.put("threads", plan.threads());
    node.put("tokens", plan.tokens());
    node.put("tokens_at_once", plan.atOnce());
    node.put("weight_bytes", plan.weightBytes());
    return node;
  }

  /// A finished table.
  void showTable(
      CalibrationTable table, Calibration.Result result, double seconds, OptionalLong peak) {
    if (json.wanted()) {
      json.answer(terminal, tableJson(table, result, seconds, peak));
      return;
    }
    TableIndex index = result.index();
    if (!index.coverage().isEmpty()) {
      answer("layer  experts  least   1 %%  median   <1  <32  <128  n_eff least  forced tokens");
    }
    for (TableIndex.LayerCoverage c : index.coverage()) {
      answer(
          "%5d  %7d  %5d %5d  %6d  %3d  %3d  %4d  %11.1f  %13d",
          c.layer(),
          c.experts(),
          c.least(),
          c.percent1(),
          c.median(),
          c.below1(),
          c.below32(),
          c.below128(),
          c.leastEffective(),
          c.forced());
    }
    answer(
        "%,d tokens in %,d sequences, %,d of them held out; %.3f %% more products for forced tokens",
        index.tokens(),
        index.sequences(),
        index.settings().heldOut(),
        100 * index.cost().forced() / index.cost().forward());
    answer(
        "%d layers done, %d kept, %,d bytes read in %.1f s; memory %s of %s planned",
        index.model().layers() + 1 - result.layersKept(),
        result.layersKept(),
        result.bytesRead(),
        seconds,
        peak.isPresent() ? ByteSize.format(peak.getAsLong()) : "not measured",
        ByteSize.format(plan.peak()));
    answer("table %s", table.digest());
  }

  private ObjectNode tableJson(
      CalibrationTable table, Calibration.Result result, double seconds, OptionalLong peak) {
    TableIndex index = result.index();
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("bytes_read", result.bytesRead());
    ArrayNode layers = node.putArray("coverage");
    for (TableIndex.LayerCoverage c : index.coverage()) {
      ObjectNode layer = layers.addObject();
      layer.put("below_1", c.below1());
      layer.put("below_128", c.below128());
      layer.put("below_32", c.below32());
      layer.put("experts", c.experts());
      layer.put("forced_tokens", c.forced());
      layer.put("layer", c.layer());
      layer.put("least", c.least());
      layer.put("least_effective", c.leastEffective());
      layer.put("median", c.median());
      layer.put("percent_1", c.percent1());
    }
    node.put("held_out_tokens", index.settings().heldOut());
    node.put("forced_share", index.cost().forced() / index.cost().forward());
    node.put("layers_done", index.model().layers() + 1 - result.layersKept());
    node.put("layers_kept", result.layersKept());
    peak.ifPresent(bytes -> node.put("memory_peak", bytes));
    node.put("memory_planned", plan.peak());
    node.put("seconds", Math.round(seconds * 1000) / 1000.0);
    node.put("sequences", index.sequences());
    node.put("table", table.digest());
    node.put("tokens", index.tokens());
    node.put("weight_bytes", plan.weightBytes());
    return node;
  }

  private void answer(String format, Object... values) {
    terminal.answer(String.format(Locale.ROOT, format, values));
  }
}
