// The few names of Apple's Foundation that torch's headers and ours mention; Linux has no SDK.
// A link on Linux cannot check that these declarations are right.
#pragma once

#include <objc/NSObject.h>

@interface NSString : NSObject
@property(readonly) const char* UTF8String;
@end

@interface NSError : NSObject
@property(readonly) NSString* localizedDescription;
@end
