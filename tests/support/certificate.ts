/** Certificates for tests, made by openssl. */
import { assert } from "@std/assert";

/** Options of {@linkcode makeCertificate}. */
export interface CertificateOptions {
  /** Common name. Default "holdfast test". */
  name?: string;
  /** The addresses or names for which it is valid. Default "IP:127.0.0.1". */
  altName?: string;
}

/** A certificate that was valid until yesterday, for a private key. */
export async function makeExpired(openssl: string, key: string): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const [keyFile, request, cert] = ["key", "request", "cert"].map((name) => `${folder}/${name}`);
    await Deno.writeTextFile(keyFile!, key);
    for (
      const args of [
        ["req", "-new", "-key", keyFile!, "-subj", "/CN=holdfast test", "-out", request!],
        ["x509", "-req", "-in", request!, "-signkey", keyFile!, "-days", "-1", "-out", cert!],
      ]
    ) {
      const { success, stderr } = await new Deno.Command(openssl, { args }).output();
      assert(success, new TextDecoder().decode(stderr));
    }
    return await Deno.readTextFile(cert!);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * A self-signed certificate and its private key, in PEM. It is not a CA certificate, which openssl would make by
 * default: servers must not use one.
 *
 * @param openssl Path of the program, see `toolTest`.
 */
export async function makeCertificate(
  openssl: string,
  { name = "holdfast test", altName = "IP:127.0.0.1" }: CertificateOptions = {},
): Promise<{ cert: string; key: string }> {
  const folder = await Deno.makeTempDir();
  try {
    const [keyFile, certFile] = [`${folder}/key.pem`, `${folder}/cert.pem`];
    // deno-fmt-ignore
    const args = [
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
      "-subj", `/CN=${name}`, "-addext", `subjectAltName=${altName}`,
      "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", keyFile, "-out", certFile,
    ];
    const { success, stderr } = await new Deno.Command(openssl, { args }).output();
    assert(success, new TextDecoder().decode(stderr));
    return { cert: await Deno.readTextFile(certFile), key: await Deno.readTextFile(keyFile) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
