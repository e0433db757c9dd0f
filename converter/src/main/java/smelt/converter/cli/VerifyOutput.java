package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import smelt.converter.ByteSize;
import smelt.converter.report.Reports;
import smelt.verify.inference.VerifyPlan;
import smelt.verify.quality.QualityReport;
import smelt.verify.report.QualityRendering;
import smelt.verify.report.QualityRendering.Format;
import smelt.verify.tables.Tables;

/// What `smelt verify` writes: its answer, as text or JSON, and what files were asked for.
///
/// @param reports files by format
/// @param tables folder of the Arrow files
record VerifyOutput(boolean json, Map<String, Path> reports, Optional<Path> tables) {

  /// What a finished verification says of its run.
  record Run(VerifyPlan plan, OptionalLong peak, double seconds) {

    String line() {
      return String.format(
          Locale.ROOT,
          "%.1f s with %d threads; memory %s of %s planned",
          seconds,
          plan.threads(),
          peak.isPresent() ? ByteSize.format(peak.getAsLong()) : "not measured",
          ByteSize.format(plan.peak()));
    }

    String json() {
      return String.format(
          Locale.ROOT,
          ",\n  \"run\": {\"memory_peak\":%s,\"memory_planned\":%d,\"rounds_planned\":%d,"
              + "\"seconds\":%.3f,\"threads\":%d}\n}",
          peak.isPresent() ? Long.toString(peak.getAsLong()) : "null",
          plan.peak(),
          plan.rounds(),
          seconds,
          plan.threads());
    }
  }

  /// What is written in the end must have a place before hours of work begin.
  void requireWritable() throws IOException {
    List<Path> folders = new ArrayList<>();
    reports.values().forEach(file -> folders.add(file.toAbsolutePath().getParent()));
    tables.ifPresent(folder -> folders.add(folder.toAbsolutePath()));
    for (Path folder : folders) {
      Path there = folder;
      while (there.getParent() != null && !Files.exists(there)) {
        there = there.getParent();
      }
      if (!Files.isDirectory(there) || !Files.isWritable(there)) {
        throw new AccessDeniedException(there.toString());
      }
    }
  }

  void write(QualityReport found, Run ran, Terminal terminal) throws IOException {
    if (json) {
      String text = QualityRendering.render(Format.JSON, found).stripTrailing();
      terminal.answer(text.substring(0, text.length() - 1).stripTrailing() + ran.json());
    } else {
      VerifyText.lines(found, terminal);
      terminal.answer(ran.line());
    }
    for (Map.Entry<String, Path> file : reports.entrySet()) {
      Format format = Format.named(file.getKey()).orElseThrow();
      Reports.write(file.getValue(), QualityRendering.render(format, found));
    }
    if (tables.isPresent()) {
      Tables.write(tables.get(), found);
    }
  }
}
