#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks each rule of scripts/lint once, in a tree of its own, and expects that rule, and no other (but the
format), to say so."""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
HEAD = '/* SPDX-License-Identifier: Apache-2.0\n *\n * A file. */\n'
CLEAN = {
    '.clang-format': open(os.path.join(ROOT, '.clang-format'), encoding='utf-8').read(),
    'src/base/str.h': HEAD + '#ifndef BELFRY_BASE_STR_H\n#define BELFRY_BASE_STR_H\n\n#endif\n',
    'src/s3/op.h': HEAD + '#ifndef BELFRY_S3_OP_H\n#define BELFRY_S3_OP_H\n\n#endif\n',
    'src/target/target.h': HEAD + '#ifndef BELFRY_TARGET_TARGET_H\n#define BELFRY_TARGET_TARGET_H\n\n#endif\n',
    'src/target/hook.h': HEAD + '#ifndef BELFRY_TARGET_HOOK_H\n#define BELFRY_TARGET_HOOK_H\n\n#endif\n',
    'src/kv/kv.c': HEAD + '#include "base/str.h"\n',
    'src/kv/meson.build': "src += files('kv.c')\n",
    'src/event/send.c': HEAD + '#include "target/target.h"\n',
    'src/event/meson.build': "src += files('send.c')\n",
    'src/main.c': HEAD + '#include "s3/op.h"\n/* strcpy() in a comment is fine */\n',
    'tests/unit/test_kv.c': HEAD,
    'tests/unit/meson.build': "tests = [\n  'kv',\n]\n",
    'tests/integration/test_a.py': '# SPDX-License-Identifier: Apache-2.0\nimport time\n',
    'tests/integration/wait.py': '# SPDX-License-Identifier: Apache-2.0\nimport time\ntime.sleep(0.01)\n',
    'scripts/run': '#!/usr/bin/env bash\n# SPDX-License-Identifier: Apache-2.0\necho hello\n',
    'docs/a.md': 'See [b](b.md).\n',
    'docs/b.md': 'b\n',
}
LATER = 'TO' 'DO'
# The rule that must speak, the file, and what is appended to it; or a whole file, where it starts from nothing.
BROKEN = [
    ('include', 'src/kv/kv.c', '#include "s3/op.h"\n'),
    ('include', 'src/s3/a.h', HEAD + '#ifndef BELFRY_S3_A_H\n#define BELFRY_S3_A_H\n#include "target/target.h"\n#endif\n'),
    ('include', 'src/event/send.c', '#include "target/hook.h"\n'),
    ('include', 'src/kv/kv.c', '#include "../base/str.h"\n'),
    ('include', 'src/kv/kv.c', '#include <base/str.h>\n'),
    ('include', 'src/kv/kv.c', '#include "str.h"\n'),
    ('include', 'src/main.c', '#include <rocksdb/c.h>\n'),
    ('include', 'src/other/a.h', HEAD + '#ifndef BELFRY_OTHER_A_H\n#define BELFRY_OTHER_A_H\n#include "base/str.h"\n#endif\n'),
    ('forbidden', 'src/main.c', 'int f(const char *s)\n{\n    return atoi(s);\n}\n'),
    ('forbidden', 'src/main.c', 'void f(char *d, const char *s)\n{\n    strcpy(d, s);\n}\n'),
    ('forbidden', 'tests/unit/test_kv.c', 'void f(void)\n{\n    sleep(1);\n}\n'),
    ('sleep', 'tests/integration/test_a.py', 'time.sleep(2)\n'),
    ('spdx', 'src/s3/b.h', '/* A file. */\n#ifndef BELFRY_S3_B_H\n#define BELFRY_S3_B_H\n\n#endif\n'),
    ('spdx', 'scripts/other', '#!/usr/bin/env bash\necho hello\n'),
    ('opening', 'src/s3/c.h', '/* SPDX-License-Identifier: Apache-2.0 */\n#ifndef BELFRY_S3_C_H\n#define BELFRY_S3_C_H\n\n#endif\n'),
    ('words', 'src/main.c', f'/* {LATER}: the rest */\n'),
    ('words', 'docs/b.md', 'see /' 'root/x\n'),
    ('text', 'docs/b.md', 'blank \n'),
    ('text', 'docs/b.md', 'no newline'),
    ('text', 'scripts/tool.py', '# SPDX-License-Identifier: Apache-2.0\nif True:\n\tpass\n'),
    ('guard', 'src/s3/d.h', HEAD + '#ifndef OTHER_H\n#define OTHER_H\n\n#endif\n'),
    ('listed', 'src/kv/more.c', HEAD),
    ('listed', 'tests/unit/test_more.c', HEAD),
    ('syntax', 'scripts/run', 'if\n'),
    ('syntax', 'tests/integration/test_a.py', 'def f(:\n'),
    ('links', 'docs/a.md', 'See [c](c.md).\n'),
    ('format', 'src/main.c', 'int f( void );\n'),
]


def lint(files, *args):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), 'w', encoding='utf-8') as f:
                f.write(text)
        run = subprocess.run([sys.executable, os.path.join(ROOT, 'scripts', 'lint'), '--root', root, *args],
                             capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


def main():
    bad = 0
    code, out = lint(CLEAN)
    if code or out:
        bad += 1
        print('a clean tree is refused:\n' + out)
    for rule, path, text in BROKEN:
        code, out = lint(dict(CLEAN, **{path: CLEAN.get(path, '') + text}))
        rules = {line.split(': ')[1] for line in out.splitlines() if line.count(': ') >= 2}
        if code != 1 or rule not in rules or rules - {rule, 'format'}:
            bad += 1
            print(f'{rule}: {path} + {text!r} ended with {code} and said:\n{out}')
    print(f'{len(BROKEN) + 1 - bad} passed, {bad} failed')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
