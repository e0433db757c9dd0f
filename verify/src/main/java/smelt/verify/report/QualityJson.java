package smelt.verify.report;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import smelt.verify.quality.Distribution;
import smelt.verify.quality.ExpertUse;
import smelt.verify.quality.Gate;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.Look;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.RoleSize;
import smelt.verify.quality.Subject;
import smelt.verify.quality.Summary;
import smelt.verify.quality.TensorScore;
import tools.jackson.core.json.JsonWriteFeature;
import tools.jackson.databind.json.JsonMapper;

/// `smelt-verify/1`: one JSON object with sorted keys, rows of its lists a line each, ASCII only.
///
/// JSON has no infinity and no NaN. A figure that is not finite is `null`, and its key with `_is`
/// says `inf`, `-inf` or `nan`; a weight without any error has `"sqnr_db": null, "sqnr_db_is":
/// "inf"` and, where every value has the source's bits, `"bit_exact": true`. What does not apply
/// (the layer of an embedding, the limit of an exact gate) has no key.
final class QualityJson {

  static final String SCHEMA = "smelt-verify/1";

  private static final JsonMapper MAPPER =
      JsonMapper.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();

  private QualityJson() {}

  static String render(QualityReport report) {
    StringBuilder out = new StringBuilder("{\n");
    value(out, "config_changes", new TreeMap<>(report.configChanges()));
    rows(out, "expert_use", report.experts().stream().map(QualityJson::expert));
    rows(
        out,
        "gates",
        report.verdict().gates().stream().map(gate -> gate(gate, report.verdict().look())));
    rows(out, "layers", report.layers().stream().map(QualityJson::layer));
    rows(out, "notes", report.notes().stream());
    value(out, "schema", SCHEMA);
    rows(out, "sizes", report.sizes().stream().map(QualityJson::size));
    value(out, "subject", subject(report.subject()));
    report.summary().ifPresent(summary -> value(out, "summary", summary(summary)));
    rows(out, "tensors", report.tensors().stream().map(QualityJson::tensor));
    value(out, "verdict", verdict(report));
    out.setLength(out.length() - 2);
    return out.append("\n}\n").toString();
  }

  private static void value(StringBuilder out, String key, Object value) {
    out.append("  \"").append(key).append("\": ").append(text(value));
    out.append(",\n");
  }

  private static void rows(StringBuilder out, String key, Stream<?> rows) {
    out.append("  \"").append(key).append("\": [");
    int start = out.length();
    rows.forEachOrdered(row -> out.append("\n    ").append(text(row)).append(','));
    if (out.length() > start) {
      out.setLength(out.length() - 1);
      out.append("\n  ");
    }
    out.append("],\n");
  }

  private static String text(Object value) {
    return MAPPER.writeValueAsString(whole(value));
  }

  /// JSON readers refuse half of a surrogate pair: it becomes U+FFFD.
  private static Object whole(Object value) {
    return switch (value) {
      case String text -> Escape.whole(text);
      case List<?> list -> list.stream().map(QualityJson::whole).toList();
      case Map<?, ?> map -> {
        Map<String, Object> json = new TreeMap<>();
        map.forEach((key, each) -> json.put(Escape.whole((String) key), whole(each)));
        yield json;
      }
      case null, default -> value;
    };
  }

  private static Map<String, Object> verdict(QualityReport report) {
    Map<String, Object> json = new TreeMap<>();
    Standing standing = Standing.of(report.verdict());
    Look look = report.verdict().look();
    json.put(
        "look", Map.of("number", look.number(), "of", look.of(), "confidence", look.confidence()));
    json.put("outcome", standing.label());
    json.put("passed", standing == Standing.PASS);
    json.put("profile", report.verdict().profile());
    json.put("why", Standing.why(report.verdict()));
    json.put("worst_layers", report.verdict().worstLayers());
    json.put("worst_tensors", report.verdict().worstTensors());
    return json;
  }

  private static Map<String, Object> gate(Gate gate, Look look) {
    Map<String, Object> json = new TreeMap<>();
    json.put("metric", gate.metric().label());
    json.put("title", gate.metric().title());
    json.put("unit", gate.metric().unit());
    json.put("side", GateText.side(gate).replace(' ', '_'));
    number(json, "bound", gate.bound());
    number(json, "value", gate.value());
    gate.limit()
        .ifPresent(limit -> {
          json.put("confidence", look.confidence());
          number(json, "limit", limit);
        });
    json.put("outcome", GateText.outcome(gate).replace(' ', '_'));
    json.put("detail", gate.detail());
    return json;
  }

  private static Map<String, Object> subject(Subject subject) {
    Map<String, Object> json = new TreeMap<>();
    json.put("source", subject.source());
    json.put("result", subject.result());
    json.put("architecture", subject.architecture());
    json.put("scheme", subject.scheme());
    json.put("activations", subject.activations());
    json.put("source_bytes", subject.sourceBytes());
    json.put("result_bytes", subject.resultBytes());
    json.put("corpora", subject.corpora());
    json.put("sequences", subject.sequences());
    json.put("version", subject.version());
    json.put("kernels", subject.kernels());
    json.put("command", subject.command());
    return json;
  }

  private static Map<String, Object> summary(Summary summary) {
    Map<String, Object> json = new TreeMap<>();
    json.put("tokens", summary.tokens());
    json.put("kl", distribution(summary.kl()));
    json.put("kl_forced", distribution(summary.forcedKl()));
    json.put("delta_p", distribution(summary.deltaP()));
    json.put("log_ppl_ratio", distribution(summary.logPplRatio()));
    number(json, "delta_p_rms", summary.deltaPRms());
    number(json, "ppl_source", summary.sourcePpl());
    number(json, "ppl_result", summary.resultPpl());
    number(json, "ppl_ratio", Math.exp(summary.logPplRatio().mean()));
    number(json, "same_top", summary.sameTop());
    number(json, "same_top_forced", summary.sameTopForced());
    number(json, "eos_shift", summary.eosShift());
    number(json, "design_effect", summary.designEffect());
    return json;
  }

  private static Map<String, Object> distribution(Distribution distribution) {
    Map<String, Object> json = new TreeMap<>();
    number(json, "mean", distribution.mean());
    number(json, "standard_error", distribution.standardError());
    number(json, "min", distribution.min());
    number(json, "max", distribution.max());
    List<Map<String, Object>> percentiles =
        distribution.percentiles().entrySet().stream()
            .map(entry -> {
              Map<String, Object> row = new TreeMap<>();
              row.put("percent", entry.getKey());
              number(row, "value", entry.getValue());
              return row;
            })
            .toList();
    json.put("percentiles", percentiles);
    return json;
  }

  private static Map<String, Object> layer(LayerScore score) {
    Map<String, Object> json = new TreeMap<>();
    json.put("layer", score.layer());
    number(json, "local_db", score.localDb());
    score.localLimitDb().ifPresent(limit -> number(json, "local_db_limit", limit));
    number(json, "free_db", score.freeDb());
    number(json, "forced_db", score.forcedDb());
    score
        .router()
        .ifPresent(router -> {
          Map<String, Object> row = new TreeMap<>();
          number(row, "same_set", router.sameSet());
          number(row, "overlap", router.overlap());
          number(row, "mass_overlap", router.massOverlap());
          router.massLimit().ifPresent(limit -> number(row, "mass_overlap_limit", limit));
          number(row, "first_changed", router.firstChanged());
          number(row, "decided_flips", router.decidedFlips());
          json.put("router", row);
        });
    return json;
  }

  private static Map<String, Object> tensor(TensorScore score) {
    Map<String, Object> json = new TreeMap<>();
    json.put("tensor", score.tensor());
    json.put("role", score.role());
    score.layer().ifPresent(layer -> json.put("layer", layer));
    score.expert().ifPresent(expert -> json.put("expert", expert));
    score
        .projection()
        .ifPresent(p -> json.put("projection", p.name().toLowerCase(java.util.Locale.ROOT)));
    json.put("from", score.from());
    json.put("to", score.to());
    json.put("elements", score.elements());
    json.put("bit_exact", score.bitExact());
    number(json, "sqnr_db", score.sqnrDb());
    number(json, "max_abs_error", score.maxAbsError());
    number(json, "relative_error", score.relativeError());
    number(json, "cosine", score.cosine());
    json.put("non_finite", score.nonFinite());
    number(json, "clipped_share", score.clippedShare());
    score.scaleMin().ifPresent(scale -> number(json, "scale_min", scale));
    score.scaleMax().ifPresent(scale -> number(json, "scale_max", scale));
    return json;
  }

  private static Map<String, Object> expert(ExpertUse use) {
    Map<String, Object> json = new TreeMap<>();
    json.put("layer", use.layer());
    json.put("expert", use.expert());
    json.put("tokens", use.tokens());
    number(json, "weight", use.weight());
    return json;
  }

  private static Map<String, Object> size(RoleSize size) {
    Map<String, Object> json = new TreeMap<>();
    json.put("role", size.role());
    json.put("parameters", size.parameters());
    json.put("source_bytes", size.sourceBytes());
    json.put("result_bytes", size.resultBytes());
    return json;
  }

  private static void number(Map<String, Object> json, String key, double value) {
    json.put(key, Double.isFinite(value) ? value : null);
    if (!Double.isFinite(value)) {
      json.put(key + "_is", Double.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf");
    }
  }
}
