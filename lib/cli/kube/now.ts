// What kube-proxy has put on a node: from files, or from the node itself.
import { readIptables, type IptablesMap } from '../../iptables/read';
import type { Source } from '../../iptables/save';
import type { Family } from '../../model';
import { toNamespacePath } from '../../namespace';
import { systemTools } from '../../node/tools';
import { programsOf, type Variant } from '../../node/variant';
import { readText } from '../../state/file';
import type { Io } from '../io';
import { NotDone } from '../wrong';

/** Where rules are read from. */
export interface RuleFlags {
  /** Files of iptables-save and ip6tables-save; `-` is stdin. */
  readonly iptablesSave?: readonly string[];
  readonly prefix?: string;
}

/** Reads rules of services from files, or of the live node where there are none. */
export async function readRules(
  io: Io,
  { iptablesSave, prefix }: RuleFlags,
  netns: string | undefined,
): Promise<IptablesMap> {
  const sources =
    iptablesSave === undefined
      ? await liveRules(netns)
      : await Promise.all(iptablesSave.map((file) => fileOf(io, file)));
  return readIptables(sources, prefix);
}

async function fileOf(io: Io, file: string): Promise<Source> {
  if (file === '-') return { text: await readText('stdin', io.stdin), file: 'stdin' };
  return { text: await readText(file), file };
}

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];
const VARIANTS: readonly Variant[] = ['nft', 'legacy'];

// Of both makes; which of them has the services, the reader sees. One that does not work here has none.
async function liveRules(netns: string | undefined): Promise<readonly Source[]> {
  const tools = systemTools({ netns: toNamespacePath(netns) });
  const asked = FAMILIES.flatMap((family) =>
    VARIANTS.map(async (variant): Promise<Source> => {
      const { save } = programsOf(family, variant);
      return { text: await tools.run(save, []), file: save, family };
    }),
  );
  const answers = await Promise.allSettled(asked);
  const found = answers.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  const failed = answers.find((each) => each.status === 'rejected');
  if (found.length === 0 && failed !== undefined) throw failed.reason;
  return found;
}

/** That none of it is what it should be; the first line that made no sense may say why. */
export function nothingIn(files: readonly string[], { problems }: IptablesMap): NotDone {
  const [first = ''] = problems;
  const last = problems.at(-1) ?? '';
  const names = files.map((file) => (file === '-' ? 'stdin' : file)).join(', ');
  return new NotDone(`${names}: ${last}${first === last ? '' : ` (${first})`}`);
}
