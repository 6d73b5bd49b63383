import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * The JDK's client with its default settings, which on cleartext offers HTTP/2 by an Upgrade of every request.
 *
 * Arguments: the address to POST to, a folder, the length of one more header, and the names of the bodies in that
 * folder. Each is sent after the other, then all at once; answers are written beside them, and a line is printed for
 * each: status, version of HTTP, name.
 */
public class Client {
    public static void main(String[] arguments) throws Exception {
        URI address = URI.create(arguments[0]);
        Path folder = Path.of(arguments[1]);
        String more = "m".repeat(Integer.parseInt(arguments[2]));
        List<String> names = List.of(arguments).subList(3, arguments.length);
        HttpClient client = HttpClient.newHttpClient();
        for (String name : names) {
            HttpRequest request = request(address, folder.resolve(name), more);
            keep(folder, name + ".in-turn", client.send(request, HttpResponse.BodyHandlers.ofByteArray()));
        }
        List<CompletableFuture<HttpResponse<byte[]>>> asked = new ArrayList<>();
        for (String name : names) {
            HttpRequest request = request(address, folder.resolve(name), more);
            asked.add(client.sendAsync(request, HttpResponse.BodyHandlers.ofByteArray()));
        }
        for (int place = 0; place < names.size(); place++) {
            keep(folder, names.get(place) + ".at-once", asked.get(place).get());
        }
        System.exit(0); // its threads would linger
    }

    static HttpRequest request(URI address, Path body, String more) throws Exception {
        HttpRequest.Builder made = HttpRequest.newBuilder(address).header("Content-Type", "application/json");
        if (!more.isEmpty()) {
            made.header("X-More", more);
        }
        return made.POST(HttpRequest.BodyPublishers.ofFile(body)).build();
    }

    static void keep(Path folder, String name, HttpResponse<byte[]> answer) throws Exception {
        Files.write(folder.resolve(name), answer.body());
        System.out.println(answer.statusCode() + " " + answer.version() + " " + name);
    }
}
