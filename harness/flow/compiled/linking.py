"""One kernel is one object: all that it calls is put in one module, optimised once, and turned into machine code once.

numba makes machine code of every function by itself, of whatever calls it once more, and so on up: a function that is
eight calls deep is optimised and written eight times.  Here what is called stays as it was lowered, until a kernel that
Python calls is made of it.  Nothing of an object but its entry is seen from outside: else the linker would take a
function of the same name from whichever object was there first, compiled in another context and with other last places.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompileResult, Flags, compile_extra

# These are numba's own, whose types it does not say.
_Library: Any = JITCodeLibrary
Result: Any = CompileResult


class _Loose(_Library):
    """A function as it was lowered, and what it calls."""

    def add_linking_library(self, library: Any) -> None:
        if not isinstance(library, _Loose):  # numba's own functions
            library._ensure_finalized()
        self._linking_libraries.append(library)

    def _optimize_functions(self, ll_module: Any) -> None:
        """Not yet, all of them are optimised at once."""
        ll_module.data_layout = self._codegen._data_layout

    def link(self) -> None:
        """Put what is called, and what that calls, into this module."""
        below, seen = list(self._linking_libraries), {self}
        while below:
            library = below.pop(0)
            if library in seen:
                continue
            seen.add(library)
            self._reload_init.update(library._reload_init)
            if isinstance(library, _Loose):
                below += library._linking_libraries
                module = library._final_module.clone()
                for function in module.functions:
                    if not function.is_declaration and function.linkage == binding.Linkage.external:
                        function.linkage = "linkonce_odr"
                self._final_module.link_in(module)
            else:
                self._final_module.link_in(library._get_module_for_linking(), preserve=True)

    def object_code(self, entry: str) -> bytes:
        """The machine code of the whole module."""
        self._optimize_final_module()
        for function in self._final_module.functions:
            if not function.is_declaration and function.name != entry:
                function.linkage = "internal"
        self._final_module.verify()
        self._verify_declare_only_symbols()
        return self._codegen._tm.emit_object(self._final_module)


def lowered(dispatcher: Any, types: tuple[Any, ...], *, entry: bool) -> Any:
    """What numba compiles a function to for arguments of these types, less its machine code.

    entry: whether Python is to call it.
    """
    context, function = dispatcher.targetctx, dispatcher.py_func
    flags: Any = Flags()
    dispatcher.targetdescr.options.parse_as_flags(flags, dispatcher.targetoptions)
    flags.no_compile, flags.no_cpython_wrapper = True, not entry
    library = _Loose(context.codegen(), function.__qualname__)
    return compile_extra(
        dispatcher.typingctx, context, function, args=types, return_type=None, flags=flags, locals={}, library=library
    )


def object_of(compiled: Any) -> tuple[Any, bool]:
    """What `Result._rebuild` makes a kernel of, and whether other processes can: no address of this one is in it."""
    library, description, entry = compiled.library, compiled.fndesc, compiled.fndesc.llvm_cpython_wrapper_name
    library.link()
    code = library.object_code(entry)
    lasts = not any(v.name.startswith("numba.dynamic.globals") for v in library._final_module.global_variables)
    # nobody links it into anything else, so that it is enough to name what is in it
    named = binding.parse_assembly(f'define void @"{entry}"() {{\n ret void\n}}').as_bitcode()
    # as CompileResult._reduce has it
    description.typemap = description.calltypes = None
    made = (
        (library.name, "object", (code, named)), description, compiled.environment, compiled.signature,
        compiled.objectmode, compiled.lifted, "", compiled.reload_init,
        tuple(compiled._find_referenced_environments()),
    )  # fmt: skip
    return made, lasts
