package smelt.verify.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.awt.image.BufferedImage;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.verify.report.QualityRendering.Format;

/// Opens the page in headless Chromium: as a desktop and as a phone see it, in both themes.
class BrowserTest {

  private static final int DESKTOP = 1280;
  private static final int PHONE = 390;
  private static final int HEIGHT = 3000;
  private static final int LIGHT_GROUND = 0xF6F7F8;
  private static final int DARK_GROUND = 0x0F1317;

  /// Shows the page in frames of both widths, and writes what it measured into its body: overflow
  /// in pixels, and drawings without a visible child.
  private static final String FRAMES =
      """
      <!DOCTYPE html><meta charset="utf-8"><body style="margin:0;display:flex;overflow:hidden">
      <iframe id="desktop" src="report.html" style="border:0;flex:none;width:1280px;height:3000px"></iframe>
      <iframe id="phone" src="report.html" style="border:0;flex:none;width:390px;height:3000px"></iframe>
      <pre id="out" style="display:none"></pre>
      <script>
      onload = () => {
        console.log('probe of the console');
        let text = '';
        for (const id of ['desktop', 'phone']) {
          const page = document.getElementById(id).contentDocument;
          const root = page.documentElement;
          const svgs = [...page.querySelectorAll('svg')];
          const bare = svgs.filter(svg => {
            const box = svg.getBoundingClientRect();
            const drawn = [...svg.children].some(c => c.getBBox().width + c.getBBox().height > 0);
            return !drawn || box.width < 10 || box.height < 10;
          });
          text += `${id}.over=${root.scrollWidth - root.clientWidth};${id}.svgs=${svgs.length};`
            + `${id}.bare=${bare.map(svg => svg.getAttribute('aria-label')).join('|')};`
            + `${id}.rows=${page.querySelectorAll('#gates tbody tr').length};`
            + `${id}.verdict=${page.querySelector('h1').textContent};`;
        }
        document.getElementById('out').textContent = text;
      };
      </script></body>
      """;

  @TempDir private Path folder;
  private String browser;

  /// What a run of the browser said.
  private record Visit(String dom, String log) {}

  @BeforeEach
  void findBrowser() {
    Optional<String> found = browser();
    assumeTrue(
        found.isPresent(), "skipped: no chromium, chromium-browser or google-chrome on PATH");
    browser = found.get();
  }

  @Test
  void showsAllPlotsAtEveryWidthInBothThemes() throws Exception {
    Files.writeString(
        folder.resolve("report.html"),
        QualityRendering.render(Format.HTML, Fixtures.failing(Fixtures.SMALL)));
    Files.writeString(folder.resolve("frames.html"), FRAMES);
    Visit visit = visit("--dump-dom");
    assertThat(visit.log().lines().filter(line -> line.contains("CONSOLE")))
        .as("the probe is seen, and nothing else")
        .singleElement()
        .asString()
        .contains("probe of the console");
    Map<String, String> measured = measured(visit.dom());
    for (String width : List.of("desktop", "phone")) {
      assertThat(measured.get(width + ".over")).as("overflow, " + width).isEqualTo("0");
      assertThat(measured.get(width + ".bare")).as("drawings without ink, " + width).isEmpty();
      assertThat(Integer.parseInt(measured.get(width + ".svgs"))).isGreaterThan(20);
      assertThat(measured)
          .containsEntry(width + ".rows", "8")
          .containsEntry(width + ".verdict", "FAIL");
    }
    assertThat(ground(true)).isEqualTo(LIGHT_GROUND);
    assertThat(ground(false)).isEqualTo(DARK_GROUND);
  }

  /// Takes a picture, checks that both frames have much to see, and returns the colour between
  /// cards.
  private int ground(boolean light) throws Exception {
    Path picture = folder.resolve(light ? "light.png" : "dark.png");
    visit(
        "--screenshot=" + picture,
        "--window-size=" + (DESKTOP + PHONE) + "," + HEIGHT,
        "--blink-settings=preferredColorScheme=" + (light ? 1 : 0));
    BufferedImage image = ImageIO.read(picture.toFile());
    assertThat(image.getWidth()).isEqualTo(DESKTOP + PHONE);
    assertThat(colours(image, 0, DESKTOP)).isGreaterThan(60);
    assertThat(colours(image, DESKTOP, DESKTOP + PHONE)).isGreaterThan(60);
    int ground = image.getRGB(3, 3) & 0xFFFFFF;
    assertThat(image.getRGB(DESKTOP + 3, 3) & 0xFFFFFF).isEqualTo(ground);
    return ground;
  }

  private static int colours(BufferedImage image, int from, int to) {
    Map<Integer, Integer> seen = new HashMap<>();
    for (int y = 0; y < image.getHeight(); y += 3) {
      for (int x = from; x < to; x += 3) {
        seen.merge(image.getRGB(x, y), 1, Integer::sum);
      }
    }
    return seen.size();
  }

  private static Map<String, String> measured(String dom) {
    int start = dom.indexOf("desktop.over");
    assertThat(start).as("measured in " + dom).isPositive();
    Map<String, String> measured = new HashMap<>();
    for (String pair : dom.substring(start, dom.indexOf("</pre>", start)).split(";", -1)) {
      int at = pair.indexOf('=');
      if (at > 0) {
        measured.put(pair.substring(0, at), pair.substring(at + 1));
      }
    }
    return measured;
  }

  private Visit visit(String... options) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(browser, "--headless=new", "--no-sandbox"));
    command.addAll(List.of("--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"));
    command.addAll(List.of("--allow-file-access-from-files", "--no-first-run"));
    command.add("--user-data-dir=" + folder.resolve("profile"));
    command.addAll(List.of(options));
    command.add(folder.resolve("frames.html").toUri().toString());
    Path dom = Files.createTempFile(folder, "dom", ".html");
    Path log = Files.createTempFile(folder, "log", ".txt");
    Process process =
        new ProcessBuilder(command)
            .redirectOutput(dom.toFile())
            .redirectError(log.toFile())
            .start();
    boolean ended = process.waitFor(60, TimeUnit.SECONDS);
    process.descendants().forEach(ProcessHandle::destroyForcibly);
    process.destroyForcibly();
    assertThat(ended).as("the browser ends within a minute").isTrue();
    return new Visit(Files.readString(dom), Files.readString(log));
  }

  private static Optional<String> browser() {
    String path = Optional.ofNullable(System.getenv("PATH")).orElse("");
    return Stream.of("chromium", "chromium-browser", "google-chrome")
        .flatMap(name ->
            Stream.of(path.split(File.pathSeparator, -1)).map(folder -> Path.of(folder, name)))
        .filter(Files::isExecutable)
        .map(Path::toString)
        .findFirst();
  }
}
