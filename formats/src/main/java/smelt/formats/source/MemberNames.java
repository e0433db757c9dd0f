package smelt.formats.source;

import java.text.Normalizer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Pattern;

/// Turns an archive's entries into a model's files: refuses names that would lead out of a folder
/// or clash in one, follows links into a packed Hugging Face cache's blobs, leaves out hidden
/// folders, and strips the one folder that everything lies in.
final class MemberNames {

  private static final Pattern DRIVE = Pattern.compile("[A-Za-z]:.*", Pattern.DOTALL);
  private static final String EXPECTED = "a name inside the model's folder";
  private static final String REMEDY = "do not trust this archive; get the model from elsewhere";

  private final Listing listing;

  private MemberNames(Listing listing) {
    this.listing = listing;
  }

  /// The model's files by name.
  ///
  /// @throws smelt.formats.BadInputException naming every entry that is refused
  static SortedMap<String, Member> resolve(Listing listing) {
    MemberNames names = new MemberNames(listing);
    List<Member> safe = names.safeOnes();
    names.refuseClashes(safe);
    listing.throwIfAny();
    SortedMap<String, Member> files = PackedCache.resolve(safe, listing);
    listing.throwIfAny();
    return visible(withoutCommonFolder(files));
  }

  private List<Member> safeOnes() {
    List<Member> safe = new ArrayList<>();
    for (Member member : listing.members()) {
      String name = member.name().startsWith("./") ? member.name().substring(2) : member.name();
      String fault = fault(name);
      if (fault.isEmpty()) {
        safe.add(member.named(name));
      } else {
        listing.refuse(member.name(), fault, EXPECTED, REMEDY);
      }
    }
    return safe;
  }

  /// What is wrong with a name; empty when nothing is.
  private static String fault(String name) {
    if (name.startsWith("/") || name.startsWith("\\") || DRIVE.matcher(name).matches()) {
      return "an absolute name";
    }
    if (name.indexOf('\\') >= 0) {
      return "a name with a backslash";
    }
    if (name.codePoints().anyMatch(Character::isISOControl)) {
      return "a name with control characters";
    }
    for (String part : name.split("/", -1)) {
      if (part.equals("..")) {
        return "a name that leads out of its folder";
      }
      if (part.isEmpty() || part.equals(".")) {
        return "a name with an empty part";
      }
    }
    return "";
  }

  private void refuseClashes(List<Member> members) {
    Map<String, String> seen = HashMap.newHashMap(members.size());
    for (Member member : members) {
      String folded =
          Normalizer.normalize(member.name(), Normalizer.Form.NFC)
              .toUpperCase(Locale.ROOT)
              .toLowerCase(Locale.ROOT);
      String other = seen.putIfAbsent(folded, member.name());
      if (other != null) {
        String found =
            other.equals(member.name())
                ? "a second entry of this name"
                : "a name that differs from '" + other + "' only in case or accents' form";
        listing.refuse(member.name(), found, "distinct names", REMEDY);
      }
    }
  }

  private static SortedMap<String, Member> withoutCommonFolder(SortedMap<String, Member> files) {
    if (files.isEmpty() || files.firstKey().indexOf('/') < 0) {
      return files;
    }
    String folder = files.firstKey().substring(0, files.firstKey().indexOf('/') + 1);
    if (!files.keySet().stream().allMatch(name -> name.startsWith(folder))) {
      return files;
    }
    SortedMap<String, Member> stripped = new TreeMap<>();
    files.forEach((name, member) -> stripped.put(name.substring(folder.length()), member));
    return stripped;
  }

  private static SortedMap<String, Member> visible(SortedMap<String, Member> files) {
    SortedMap<String, Member> visible = new TreeMap<>(files);
    visible.keySet().removeIf(name -> name.matches("(.*/)?\\.[^/]*/.*"));
    return visible;
  }
}
